/**
 * A stock Envoy with an identity of the mesh: its configuration from the control plane, its
 * certificate from `weft agent` by SDS, and a Weft sidecar at the other end, in both directions.
 * Plaintext is shut out everywhere.
 */
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually, freePort } from '@weft/testkit'
import { loopback, skip, startEnvoy } from './envoy.ts'
import {
  APP,
  call,
  type IdentityMesh,
  policy,
  startIdentityMesh,
  strictEntry,
} from './identity-mesh.ts'

let mesh: IdentityMesh
let envoys: AsyncDisposableStack
let gatewayPort = 0
let outbound = 0
const agentSocket = (name: string) => join(mesh.folder, name, 'workload.sock')

before(async () => {
  if (skip !== false) return
  envoys = new AsyncDisposableStack()
  mesh = await startIdentityMesh('sds')
  mesh.write('strict.yaml', policy('STRICT'))
  const control = ['--control', `127.0.0.1:${mesh.xdsPort}`]
  const app = ['--', process.execPath, '--eval', APP]
  const service = ['--service', 'cart', '--port', '80', '--app-port', '0']
  await mesh.start(
    ['run', ...control, ...service, '--service-account', 'cart', ...app],
    'the application is up',
  )
  outbound = await freePort()
  await mesh.start(
    [
      ...['proxy', ...control, '--name', 'web', '--service-account', 'web'],
      ...['--outbound', `127.0.0.1:${outbound}`, '--admin', '127.0.0.1:0'],
    ],
    'It has its configuration',
  )
  for (const name of ['edge', 'legacy']) {
    // A life that is over before the test is, so that what is renewed is seen to be used.
    const options = ['--service-account', name, '--socket', agentSocket(name), '--cert-ttl', '60s']
    await mesh.start(['agent', ...control, ...options], 'It is spiffe://')
  }
})

after(async () => {
  if (skip !== false) return
  await envoys.disposeAsync()
  await mesh[Symbol.asyncDispose]()
})

test('an Envoy under the control plane calls a sidecar with the identity that its agent has', {
  skip,
}, async () => {
  gatewayPort = await freePort()
  mesh.write('gateway.yaml', gateway(gatewayPort))
  const { output, errors } = await mesh.weft([
    ...['bootstrap', 'envoy', '--role', 'gateway', '--service-account', 'edge'],
    ...['--label', 'istio=ingressgateway', '--control', `127.0.0.1:${mesh.xdsPort}`],
    ...['--socket', agentSocket('edge')],
  ])
  assert.equal(errors, '')
  envoys.use(startEnvoy(newFolder('edge-envoy'), JSON.parse(output) as object))
  await eventually(async () => {
    const answer = await call(gatewayPort, 'cart.example')
    assert.equal(answer?.status, 200)
    const told = String(JSON.parse(answer.body)['x-forwarded-client-cert'])
    assert.match(told, /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/edge$/)
  }, 30_000)
})

test('a sidecar calls an Envoy that shows the identity of its agent, and no other', {
  skip,
}, async () => {
  const port = await freePort()
  envoys.use(startEnvoy(newFolder('legacy-envoy'), server(port, agentSocket('legacy'))))
  mesh.write('legacy.yaml', strictEntry('legacy', 'HTTP', port, 'legacy'))
  mesh.write('forged.yaml', strictEntry('forged', 'HTTP', port, 'cart'))
  await eventually(async () => {
    const answer = await call(outbound, 'legacy.example', 'http://legacy.example/')
    assert.deepEqual(answer, { status: 200, body: 'spiffe://cluster.local/ns/default/sa/web' })
  }, 30_000)
  // The same Envoy where somebody else is expected.
  const answer = await call(outbound, 'forged.example', 'http://forged.example/')
  assert.equal(answer?.status, 503)
  assert.equal(await call(port, 'legacy.example'), undefined, 'plaintext is not answered')
})

function newFolder(name: string): string {
  const folder = join(mesh.folder, name)
  mkdirSync(folder)
  return folder
}

function gateway(port: number): string {
  return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ['cart.example']}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge, namespace: default}
spec:
  hosts: ['cart.example']
  gateways: [edge]
  http: [{route: [{destination: {host: cart, port: {number: 80}}}]}]
`
}

const TYPE = 'type.googleapis.com/envoy.extensions'

/** Answers everybody of the mesh with who they are; its certificate comes from the agent. */
function server(port: number, socket: string): object {
  const from = (name: string) => ({
    name,
    sds_config: {
      resource_api_version: 'V3',
      api_config_source: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'sds-grpc' } }],
      },
    },
  })
  const manager = {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'legacy',
    http_filters: [
      { name: 'router', typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` } },
    ],
    route_config: {
      virtual_hosts: [
        {
          name: 'all',
          domains: ['*'],
          routes: [
            {
              match: { prefix: '/' },
              direct_response: {
                status: 200,
                body_format: {
                  text_format_source: { inline_string: '%DOWNSTREAM_PEER_URI_SAN%' },
                },
              },
            },
          ],
        },
      ],
    },
  }
  const transport_socket = {
    name: 'tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: true,
      common_tls_context: {
        alpn_protocols: ['h2', 'http/1.1'],
        tls_certificate_sds_secret_configs: [from('default')],
        validation_context_sds_secret_config: from('ROOTCA'),
      },
    },
  }
  const filters = [{ name: 'http', typed_config: manager }]
  return {
    node: { id: 'sidecar~127.0.0.1~legacy.default~default', cluster: 'legacy.default' },
    static_resources: {
      listeners: [{ address: loopback(port), filter_chains: [{ filters, transport_socket }] }],
      clusters: [
        {
          name: 'sds-grpc',
          type: 'STATIC',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
              '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
              explicit_http_config: { http2_protocol_options: {} },
            },
          },
          load_assignment: {
            cluster_name: 'sds-grpc',
            endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: socket } } } }] }],
          },
        },
      ],
    },
  }
}

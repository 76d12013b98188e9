/**
 * What DestinationRules, ServiceEntries, Gateways and Sidecars do to traffic: each row is a host
 * of its own, asked through a real gateway and a real sidecar.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { runWeft } from '../e2e/weft.ts'
import { type Answer, ask, exchangeBytes } from './ask.ts'
import { type App, startApp } from './echo.ts'
import { type Mesh, secretYaml, startMesh } from './mesh.ts'

const ca = createTestCa()
const server = ca.issue({ dns: ['secure.example', 'b.example'], commonName: 'server' })
const serving = { key: server.keyPem, cert: server.certPem }

type At = (path?: string, headers?: Record<string, string>) => Promise<Answer>

interface TrafficCase {
  readonly name: string
  /** Of the ServiceEntry, besides its host and port 80. */
  readonly entry: string
  /** The `trafficPolicy` of its DestinationRule. */
  readonly policy?: string
  /** Hosts in place of the case's own. */
  readonly hosts?: string
  readonly check: (at: At, host: string) => Promise<void>
}

const backend = async (answer: Promise<Answer>) => {
  const { echo, status } = await answer
  return echo?.backend ?? String(status)
}

async function shares(at: At, count: number, path?: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (let i = 0; i < count; i++) {
    const name = await backend(at(path))
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

const NEAR = 'locality: r1/z1'
const FAR = 'locality: r2/z2'
const DETECTS =
  'outlierDetection: {consecutive5xxErrors: 3, interval: 0.1s, baseEjectionTime: 60s, maxEjectionPercent: 100}'

const cases: readonly TrafficCase[] = [
  {
    name: 'locality failover: near ones while they are healthy, then the region that is named',
    entry: `resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: $v1}, ${NEAR}}, {address: 127.0.0.1, ports: {http: $v2}, ${FAR}}, {address: 127.0.0.1, ports: {http: $v3}, locality: r3/z3}]`,
    policy: `{${DETECTS}, loadBalancer: {localityLbSetting: {enabled: true, failover: [{from: r1, to: r2}]}}}`,
    async check(at) {
      assert.deepEqual(await shares(at, 20), { v1: 20 })
      // Only the near one fails by this path.
      await eventually(async () => {
        await shares(at, 4, '/?only=v1')
        assert.deepEqual(await shares(at, 10), { v2: 10 })
      })
    },
  },
  {
    name: 'locality distribution by shares',
    entry: `resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: $v1}, ${NEAR}}, {address: 127.0.0.1, ports: {http: $v2}, ${FAR}}]`,
    policy:
      '{outlierDetection: {}, loadBalancer: {localityLbSetting: {enabled: true, distribute: [{from: r1/*, to: {r1/*: 80, r2/*: 20}}]}}}',
    async check(at) {
      const { v1 = 0, v2 = 0 } = await shares(at, 200)
      assert.equal(v1 + v2, 200)
      assert.ok(v2 > 15 && v2 < 70, `${v2} of 200 went far`)
    },
  },
  {
    name: 'outlier detection ejects whoever fails',
    entry: `resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: $v1}}, {address: 127.0.0.1, ports: {http: $v2}}]`,
    policy: `{${DETECTS}}`,
    async check(at) {
      const before = await shares(at, 20)
      assert.deepEqual(Object.keys(before).toSorted(), ['v1', 'v2'])
      await eventually(async () => {
        await shares(at, 6, '/?only=v1')
        assert.deepEqual(await shares(at, 10), { v2: 10 })
      })
    },
  },
  {
    name: 'connectionPool: what exceeds connections and pending requests is refused (UO)',
    entry: 'resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]',
    policy: '{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}',
    async check(at) {
      const answers = await Promise.all(Array.from({ length: 6 }, () => at('/?delay=300')))
      const refused = answers.filter(({ status }) => status === 503)
      assert.deepEqual([refused.length, answers.length - refused.length], [4, 2])
      for (const { headers } of refused) assert.equal(headers['x-envoy-overloaded'], 'true')
      assert.equal(await backend(at()), 'v1')
    },
  },
  {
    name: 'connectionPool: requests under way',
    entry: 'resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: $v1}}]',
    policy: '{connectionPool: {http: {http2MaxRequests: 2}}}',
    async check(at) {
      const answers = await Promise.all(Array.from({ length: 6 }, () => at('/?delay=300')))
      const passed = answers.filter(({ status }) => status === 200)
      assert.equal(passed.length, 2)
    },
  },
  {
    name: 'consistent hash by header; round robin without',
    entry: `resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: $v1}}, {address: 127.0.0.1, ports: {http: $v2}}, {address: 127.0.0.1, ports: {http: $v3}}]`,
    policy: '{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}',
    async check(at) {
      const met = new Set<string>()
      for (let user = 0; user < 20; user++) {
        const headers = { 'x-user': `user-${user}` }
        const first = await backend(at('/', headers))
        met.add(first)
        for (let i = 0; i < 3; i++) assert.equal(await backend(at('/', headers)), first)
      }
      assert.equal(met.size, 3)
    },
  },
  {
    name: 'resolution DNS with endpoints by name',
    entry: `resolution: DNS
  endpoints: [{address: localhost, ports: {http: $v1}}]`,
    check: async (at) => assert.deepEqual(await shares(at, 5), { v1: 5 }),
  },
  {
    name: 'resolution DNS_ROUND_ROBIN',
    entry: `resolution: DNS_ROUND_ROBIN
  endpoints: [{address: localhost, ports: {http: $v2}}]`,
    check: async (at) => assert.deepEqual(await shares(at, 5), { v2: 5 }),
  },
  {
    name: 'wildcard hosts with endpoints',
    hosts: '*.wild.example',
    entry: 'resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: $v3}}]',
    async check(at, host) {
      const { echo } = await at()
      assert.deepEqual([echo?.backend, echo?.host], ['v3', host])
    },
  },
  {
    name: 'TLS origination: port 80 outside, TLS to port and name of the rule',
    entry: 'resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: $https}}]',
    policy:
      '{portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE, sni: secure.example, caCertificates: $CA, subjectAltNames: [secure.example]}}]}',
    async check(at) {
      const { echo, text } = await at()
      assert.deepEqual([echo?.backend, echo?.sni], ['https', 'secure.example'], text)
    },
  },
  {
    name: 'TLS origination refuses a server of another name',
    entry: 'resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: $https}}]',
    policy:
      '{tls: {mode: SIMPLE, sni: secure.example, caCertificates: $CA, subjectAltNames: [other.example]}}',
    check: async (at) => assert.equal((await at()).status, 503),
  },
]

describe('Istio’s traffic', () => {
  const apps = new Map<string, App>()
  let mesh: Mesh
  let gateway = 0
  let passthrough = 0
  let redirecting = 0
  let sidecar = 0

  before(async () => {
    for (const name of ['v1', 'v2', 'v3']) apps.set(name, await startApp(name))
    apps.set('https', await startApp('https', 'https', serving))
    apps.set('tls', await startApp('tls', 'tls', serving))
    mesh = await startMesh()
    gateway = await freePort()
    passthrough = await freePort()
    redirecting = await freePort()
    mesh.write('ca.pem', ca.caPem)
    mesh.write('mesh.yaml', gatewaysYaml())
    const where = ['--namespace', 'default', '--locality', 'r1/z1', '--concurrency', '1']
    await mesh.startGateway('edge', where)
    sidecar = (await mesh.startSidecar('caller', ['--locality', 'r1/z1'])).port
  })
  after(async () => {
    await mesh[Symbol.asyncDispose]()
    for (const app of apps.values()) await app[Symbol.asyncDispose]()
  })

  const fillIn = (text: string) =>
    text
      .replaceAll(/\$(v1|v2|v3|https|tls)\b/g, (_, name: string) => `${apps.get(name)?.port}`)
      .replaceAll('$CA', `${mesh.folder}/mesh/ca.pem`)

  for (const [index, { name, entry, policy, hosts, check }] of cases.entries()) {
    for (const way of ['gateway', 'sidecar'] as const) {
      test(`${name}, through a ${way}`, async () => {
        const own = `${way}-${index}.example`
        const written = hosts?.replace('wild', way) ?? own
        const host = written.replace('*', 'some')
        const file = `${way}-${index}`
        mesh.write(`${file}.yaml`, fillIn(caseYaml(file, written, entry, policy)))
        const at: At = (path = '/', headers = {}) =>
          ask({ port: way === 'gateway' ? gateway : sidecar, host, path, headers })
        await eventually(async () => {
          const answer = await at('/is-there')
          assert.equal(answer.headers['x-there'], file, answer.error ?? answer.text)
        })
        await check(at, host)
      })
    }
  }

  test('Gateway PASSTHROUGH: by server name, to the server’s own certificate', async () => {
    const tls = { ca: ca.caPem, sni: 'secure.example' }
    await eventually(async () => {
      assert.equal(await exchangeBytes(passthrough, 'ping', tls), 'tls:ping')
    })
    const other = await exchangeBytes(passthrough, 'ping', { ...tls, sni: 'b.example' })
    assert.match(other, /error|closed/)
    assert.match(await exchangeBytes(passthrough, 'ping'), /error|closed/)
  })

  test('Gateway httpsRedirect', async () => {
    const { status, headers } = await ask({
      ...{ port: redirecting, host: 'secure.example', path: '/a?b=c' },
    })
    assert.deepEqual([status, headers.location], [301, 'https://secure.example/a?b=c'])
  })

  test('Gateway AUTO_PASSTHROUGH lets nobody in who is not of the mesh', async () => {
    const port = await freePort()
    const yaml = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: auto, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: tls, protocol: TLS}, hosts: ["*.local"], tls: {mode: AUTO_PASSTHROUGH}}]
`
    mesh.write('auto.yaml', yaml)
    const { output, errors } = await runWeft(['validate', '-'], { input: yaml })
    assert.doesNotMatch(output + errors, /not acted on/)
    const sni = 'outbound_.443_._.behind.example'
    assert.match(await exchangeBytes(port, 'ping', { ca: ca.caPem, sni }), /error|closed/)
    assert.equal((await ask({ port: gateway, host: 'nobody.example' })).status, 404)
  })

  test('Sidecar: hosts that it does not import, and REGISTRY_ONLY', async () => {
    const v1 = apps.get('v1')?.port
    const entry = (name: string, namespace: string) => `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  hosts: [${name}.example]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${v1}}}]
`
    mesh.write(
      'sidecar.yaml',
      `${entry('wanted', 'imported')}${entry('unwanted', 'hidden')}---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: narrow}
spec:
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress: [{hosts: ["./*", "imported/*"]}]
`,
    )
    const { port } = await mesh.startSidecar('narrow', ['--namespace', 'narrow'])
    await eventually(async () => {
      assert.equal((await ask({ port, host: 'wanted.example' })).echo?.backend, 'v1')
      assert.equal((await ask({ port: sidecar, host: 'unwanted.example' })).echo?.backend, 'v1')
    })
    assert.equal((await ask({ port, host: 'unwanted.example' })).status, 502)
    assert.equal((await ask({ port, host: `localhost:${v1}` })).status, 502)
  })

  test('a Sidecar’s egress proxy gets what goes to nobody of the mesh', async () => {
    const v1 = apps.get('v1')?.port
    mesh.write(
      'egress-proxy.yaml',
      `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: way-out, namespace: out}
spec:
  hosts: [way-out.example]
  resolution: STATIC
  ports: [{number: 3128, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: ${v1}}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: out}
spec:
  outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: way-out.example, port: {number: 3128}}}
  egress: [{hosts: ["./*"]}]
`,
    )
    const { port } = await mesh.startSidecar('out', ['--namespace', 'out'])
    await eventually(async () => {
      const { echo } = await ask({ port, host: 'nobody.example' })
      assert.deepEqual([echo?.backend, echo?.host], ['v1', 'nobody.example'])
    })
  })

  function gatewaysYaml(): string {
    return `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: ${gateway}, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: ${redirecting}, name: http-r, protocol: HTTP}, hosts: ["*"], tls: {httpsRedirect: true}}
  - {port: {number: ${passthrough}, name: tls, protocol: TLS}, hosts: ["*"], tls: {mode: PASSTHROUGH}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: behind, namespace: default}
spec:
  hosts: [behind.example]
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 127.0.0.1, ports: {tls: ${apps.get('tls')?.port}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: behind, namespace: default}
spec:
  hosts: [secure.example]
  gateways: [front]
  tls: [{match: [{sniHosts: [secure.example], port: ${passthrough}}], route: [{destination: {host: behind.example, port: {number: 443}}}]}]
${secretYaml('front', 'default', { 'tls.crt': server.certPem, 'tls.key': server.keyPem })}`
  }
})

function caseYaml(name: string, host: string, entry: string, policy?: string): string {
  const rule = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: ${name}, namespace: default}
spec:
  host: "${host}"
  trafficPolicy: ${policy}
`
  return `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${name}, namespace: default}
spec:
  hosts: ["${host}"]
  ports: [{number: 80, name: http, protocol: HTTP}]
  ${entry}
${policy === undefined ? '' : rule}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: default}
spec:
  hosts: ["${host}"]
  gateways: [front, mesh]
  http:
  - {match: [{uri: {exact: /is-there}}], directResponse: {status: 200}, headers: {response: {set: {x-there: ${name}}}}}
  - {route: [{destination: {host: "${host}", port: {number: 80}}}], retries: {attempts: 0}}
`
}

/**
 * Random AuthorizationPolicies × callers over real sockets: written as YAML is, translated, sent as
 * Envoy's protobuf, enforced by a proxy that ends mutual TLS. Who gets through must be who the
 * model by enumeration lets through.
 */
import assert from 'node:assert/strict'
import { Agent, request } from 'node:https'
import { after, before, test } from 'node:test'
import { createTestCa, freePort, seededRandom } from '@weft/testkit'
import { parseDocuments } from '../../packages/config/src/index.ts'
import { buildSnapshot } from '../../packages/control/src/snapshot/build.ts'
import { DEFAULT_PROXY } from '../../packages/control/src/translate/proxy-view.ts'
import { translate } from '../../packages/control/src/translate/translate.ts'
import type { HttpConnectionManager, Listener, Secret } from '../../packages/model/src/index.ts'
import { openApp, openProxy, REVIEWS } from '../../packages/proxy/src/test-proxy.ts'
import { cluster, endpoints, setOf, table } from '../../packages/proxy/src/test-resources.ts'
import { codec } from '../../packages/xds/src/codec/codec.ts'
import { type Call, isAllowed, type Policy } from './authorization-model.ts'
import { randomAuthorization } from './random-authorization.ts'

const SEED = Number(process.env.WEFT_SEED ?? 1)
const ROUNDS = Number(process.env.WEFT_RUNS ?? 40)
const random = seededRandom(SEED)
const { policies, calls } = randomAuthorization(random)

const ca = createTestCa()
const server = ca.issue({ dns: ['cart.example'] })
const SECRETS: readonly Secret[] = [
  { kind: 'certificate', name: 'cert', chainPem: server.certPem, keyPem: server.keyPem },
  { kind: 'validation', name: 'ca', caPem: ca.caPem },
]

/** What the control plane makes of the policies, by way of the wire. */
function managerFor(written: readonly Policy[]): HttpConnectionManager {
  const objects = written.map((spec, i) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: `p${i}`, namespace: 'default' },
    spec,
  }))
  const text = objects.map((one) => JSON.stringify(one)).join('\n---\n')
  const { documents, problems } = parseDocuments(text, { file: 'policies.yaml' })
  const errors = problems.filter(({ severity }) => severity === 'error')
  assert.deepEqual(errors, [], text)
  const offer = { service: 'cart', port: 80, protocol: 'http', address: '127.0.0.1' }
  const view = {
    ...DEFAULT_PROXY,
    capture: { kind: 'explicit' } as const,
    offers: [{ ...offer, listenPort: 1, appAddress: '127.0.0.1', appPort: 2 }],
  }
  const made = translate(buildSnapshot({ documents }), view).listener.get('weft:inbound|80')
  assert.ok(made !== undefined)
  const sent = codec.decode('listener', codec.encode('listener', made))
  assert.ok(sent.ok, JSON.stringify(sent))
  const managers = sent.resource.filterChains.flatMap(({ filter }) =>
    filter.kind === 'http' ? [filter] : [],
  )
  const [first] = managers
  assert.ok(first !== undefined)
  return first
}

let port = 0
let opened: Awaited<ReturnType<typeof openProxy>> | undefined
let app: Awaited<ReturnType<typeof openApp>> | undefined
const agents = new Map<string, Agent>()

before(async () => {
  port = await freePort()
  opened = await openProxy('cart')
  app = await openApp((path) => path)
})

after(async () => {
  for (const agent of agents.values()) agent.destroy()
  app?.server.closeAllConnections()
  app?.server.close()
  await opened?.proxy.close()
})

function publish(manager: HttpConnectionManager): void {
  const listener: Listener = {
    name: 'inbound',
    address: { host: '127.0.0.1', port },
    direction: 'inbound',
    bindToPort: true,
    useOriginalDst: false,
    filterChains: [
      {
        name: 'http',
        match: {
          destinationPrefixes: [],
          sourcePrefixes: [],
          serverNames: [],
          applicationProtocols: [],
        },
        tls: {
          certificates: ['cert'],
          validation: 'ca',
          requireClientCertificate: false,
          alpn: ['http/1.1'],
        },
        filter: { ...manager, routes: { kind: 'inline', table: table([REVIEWS]) } },
      },
    ],
    origins: [],
  }
  const set = setOf({
    listener: [listener],
    route: [],
    cluster: [cluster(REVIEWS)],
    endpoints: [endpoints(REVIEWS, [`127.0.0.1:${app?.port}`], false)],
  })
  opened?.publish({ ...set, secret: new Map(SECRETS.map((secret) => [secret.name, secret])) })
}

function agentOf({ identity }: Call): Agent {
  const key = JSON.stringify(identity ?? null)
  let agent = agents.get(key)
  if (agent === undefined) {
    const { domain = '', namespace = '', account = '' } = identity ?? {}
    const own =
      identity === undefined
        ? undefined
        : ca.issue({ uri: [`spiffe://${domain}/ns/${namespace}/sa/${account}`] })
    agent = new Agent({
      keepAlive: true,
      ca: ca.caPem,
      checkServerIdentity: () => undefined,
      ...(own === undefined ? {} : { cert: own.certPem, key: own.keyPem }),
    })
    agents.set(key, agent)
  }
  return agent
}

function send(call: Call): Promise<{ readonly status: number; readonly body: string }> {
  const { method, host, path, remoteIp, headers } = call
  const lines = Object.entries(headers).flatMap(([name, values]) =>
    values.flatMap((value) => [name, value]),
  )
  const forwarded = remoteIp === '127.0.0.1' ? [] : ['x-forwarded-for', `198.51.100.1, ${remoteIp}`]
  const raw = ['host', host, ...lines, ...forwarded]
  return new Promise((resolve, reject) => {
    request(
      { host: '127.0.0.1', port, method, path, headers: raw, agent: agentOf(call) },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          body += part
        })
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
      },
    )
      .on('error', reject)
      .end()
  })
}

test(`who gets through is who may: ${ROUNDS} sets of policies × 16 callers (seed ${SEED})`, async () => {
  let denied = 0
  let allowed = 0
  for (let round = 0; round < ROUNDS; round++) {
    const written = policies()
    publish(managerFor(written))
    for (const call of calls()) {
      const expected = isAllowed(written, call)
      const { status, body } = await send(call)
      const told = `round ${round}: ${JSON.stringify(call)}\n${JSON.stringify(written, null, 1)}`
      assert.equal(status, expected ? 200 : 403, told)
      if (expected) {
        allowed++
        assert.equal(body, call.path, 'the application sees the path that was judged')
      } else {
        denied++
        assert.equal(body, 'RBAC: access denied')
      }
    }
  }
  // A matrix in which everything has one answer says nothing.
  assert.ok(allowed > ROUNDS && denied > ROUNDS, `${allowed} allowed, ${denied} denied`)
})

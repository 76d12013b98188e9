/**
 * Random policies × callers over real sockets: what `weft simulate --inbound` says of a call is what
 * a proxy does with it that was told the same – mutual TLS, tokens and rules together.
 */
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { request as plainRequest } from 'node:http'
import { Agent, request } from 'node:https'
import { test } from 'node:test'
import { createTestCa, freePort, seededRandom } from '@weft/testkit'
import { DestinationJudge } from '../../packages/cli/src/access/authorize-call.ts'
import { meshView } from '../../packages/cli/src/access/mesh-view.ts'
import { parseCalls } from '../../packages/cli/src/simulate/call.ts'
import { parseDocuments } from '../../packages/config/src/index.ts'
import type { Cluster, Listener, ResourceSet, Secret } from '../../packages/model/src/index.ts'
import { openApp, openProxy } from '../../packages/proxy/src/test-proxy.ts'
import type { Call } from './authorization-model.ts'
import { randomAuthorization } from './random-authorization.ts'

const SEED = Number(process.env.WEFT_SEED ?? 1)
const ROUNDS = Number(process.env.WEFT_RUNS ?? 25)
const random = seededRandom(SEED)
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
const { policies, calls } = randomAuthorization(random)

const key = generateKeyPairSync('ed25519')
const stranger = generateKeyPairSync('ed25519')
const JWKS = JSON.stringify({ keys: [key.publicKey.export({ format: 'jwk' })] })
const IN_AN_HOUR = Math.floor(Date.now() / 1_000) + 3_600

function tokenOf(claims: object, by = key): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${encode({ alg: 'EdDSA' })}.${encode({ iss: 'https://i', sub: 'u', ...claims })}`
  return `${text}.${sign(null, Buffer.from(text), by.privateKey).toString('base64url')}`
}
const TOKENS = [
  undefined,
  undefined,
  tokenOf({ exp: IN_AN_HOUR, group: 'admin' }),
  tokenOf({ exp: IN_AN_HOUR, group: ['user', 'ops'] }),
  tokenOf({ exp: 1, group: 'admin' }),
  tokenOf({ exp: IN_AN_HOUR, group: 'admin' }, stranger),
  tokenOf({ exp: IN_AN_HOUR, iss: 'https://j' }),
  'no.token.atall',
]

function object(kind: string, name: string, spec: object) {
  const metadata = { name, namespace: 'default' }
  const group = kind === 'Service' ? 'v1' : 'security.istio.io/v1'
  return { apiVersion: group, kind, metadata, spec }
}

/** A mesh of one service, whose mutual TLS, tokens and rules are random. */
function randomMesh() {
  const mode = pick(['STRICT', 'PERMISSIVE', 'DISABLE', undefined])
  const groups = { key: 'request.auth.claims[group]', values: [pick(['admin', 'ops', 'u*'])] }
  const byClaim = { action: pick(['ALLOW', 'DENY']), rules: [{ when: [groups] }] }
  const jwtRules = [{ issuer: 'https://i', jwks: JWKS, forwardOriginalToken: true }]
  const objects = [
    object('Service', 'cart', { ports: [{ name: 'http', port: 80 }] }),
    ...(mode === undefined ? [] : [object('PeerAuthentication', 'm', { mtls: { mode } })]),
    ...(random() < 0.6 ? [object('RequestAuthentication', 'j', { jwtRules })] : []),
    ...(random() < 0.4 ? [object('AuthorizationPolicy', 'claims', byClaim)] : []),
    ...policies().map((spec, i) => object('AuthorizationPolicy', `p${i}`, spec)),
  ]
  const text = objects.map((one) => JSON.stringify(one)).join('\n---\n')
  const { documents, problems } = parseDocuments(text, { file: 'mesh.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  const [destination] = meshView({ documents }).destinations('default/cart')
  assert.ok(destination !== undefined)
  return { destination, text }
}

const ca = createTestCa()
const server = ca.issue({ uri: ['spiffe://cluster.local/ns/default/sa/default'] })
const SECRETS: readonly Secret[] = [
  { kind: 'certificate', name: 'cert', chainPem: server.certPem, keyPem: server.keyPem },
  { kind: 'validation', name: 'ca', caPem: ca.caPem },
]

/** The same resources, on ports that this machine has. */
function openedHere(set: ResourceSet, port: number, appPort: number): ResourceSet {
  const listener = set.listener.get('weft:inbound|80')
  const cluster = set.cluster.get('inbound|80||')
  assert.ok(listener !== undefined && cluster?.discovery.kind === 'static')
  // The proxy's own names are for what it got from a CA itself.
  const filterChains = listener.filterChains.map((chain) =>
    chain.tls === undefined
      ? chain
      : { ...chain, tls: { ...chain.tls, certificates: ['cert'], validation: 'ca' } },
  )
  const here: Listener = { ...listener, filterChains, address: { host: '127.0.0.1', port } }
  const endpoint = {
    address: { host: '127.0.0.1', port: appPort },
    weight: 1,
    health: 'healthy',
  } as const
  const [locality] = cluster.discovery.endpoints.localities
  assert.ok(locality !== undefined)
  const localities = [{ ...locality, endpoints: [endpoint] }]
  const discovery = { kind: 'static', endpoints: { name: cluster.name, localities } } as const
  const app: Cluster = { ...cluster, discovery }
  return {
    listener: new Map([[here.name, here]]),
    route: new Map(),
    cluster: new Map([[app.name, app]]),
    endpoints: new Map(),
    secret: new Map(SECRETS.map((secret) => [secret.name, secret])),
  }
}

const agents = new Map<string, Agent>()

function agentFor(uri: string): Agent {
  const known = agents.get(uri)
  if (known !== undefined) return known
  const own = ca.issue({ uri: [uri] })
  const agent = new Agent({
    cert: own.certPem,
    key: own.keyPem,
    ca: ca.caPem,
    keepAlive: false,
    checkServerIdentity: () => undefined,
    ALPNProtocols: ['istio-http/1.1', 'istio', 'http/1.1'],
    servername: 'outbound_.80_._.cart.default.svc.cluster.local',
  })
  agents.set(uri, agent)
  return agent
}

interface Asked {
  readonly call: Call
  /** Of whom the certificate is; `undefined`: plaintext. */
  readonly uri: string | undefined
  readonly token: string | undefined
}

/** 0: the connection ended without an answer. */
function send({ call, uri, token }: Asked, port: number): Promise<number> {
  const lines = Object.entries(call.headers).flatMap(([name, values]) =>
    values.flatMap((value) => [name, value]),
  )
  const forwarded = call.remoteIp === '127.0.0.1' ? [] : ['x-forwarded-for', call.remoteIp]
  const bearer = token === undefined ? [] : ['authorization', `Bearer ${token}`]
  const headers = ['host', call.host, ...lines, ...forwarded, ...bearer]
  const options = { host: '127.0.0.1', port, method: call.method, path: call.path, headers }
  return new Promise((resolve) => {
    const sent =
      uri === undefined
        ? plainRequest({ ...options, agent: false })
        : request({ ...options, agent: agentFor(uri) })
    sent.on('response', (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0))
    })
    sent.on('error', () => resolve(0)).end()
  })
}

function simulated(judge: DestinationJudge, { call, uri, token }: Asked) {
  const forwarded = call.remoteIp === '127.0.0.1' ? {} : { 'x-forwarded-for': call.remoteIp }
  const text = JSON.stringify({
    host: call.host,
    path: call.path,
    method: call.method,
    headers: { ...call.headers, ...forwarded },
    port: 80,
    destination: { ip: '127.0.0.1' },
    source: { ip: '127.0.0.1', ...(uri === undefined ? {} : { principal: uri }) },
    ...(uri === undefined ? { tls: 'plaintext' } : { tls: 'mtls' }),
    ...(token === undefined ? {} : { token }),
  })
  const [asked] = parseCalls(text).calls
  assert.ok(asked !== undefined)
  return judge.ask(asked).authorization
}

test(`simulations are what proxies do: ${ROUNDS} meshes × 16 callers (seed ${SEED})`, async (t) => {
  const port = await freePort()
  const { proxy, publish } = await openProxy('cart')
  const app = await openApp((path) => path)
  t.after(async () => {
    for (const agent of agents.values()) agent.destroy()
    app.server.closeAllConnections()
    app.server.close()
    await proxy.close()
  })
  const seen = new Map<number, number>()
  for (let round = 0; round < ROUNDS; round++) {
    const { destination, text } = randomMesh()
    await publish(openedHere(destination.resources, port, app.port))
    const judge = new DestinationJudge(destination)
    const hasTls = destination.modeAt(80).mode !== 'DISABLE'
    for (const call of calls()) {
      const { identity } = call
      const name =
        identity && `spiffe://${identity.domain}/ns/${identity.namespace}/sa/${identity.account}`
      // Callers of a mesh do not speak TLS to who does not take it.
      const asked = { call, uri: hasTls ? name : undefined, token: pick(TOKENS) }
      const { decision, status } = simulated(judge, asked)
      const answer = await send(asked, port)
      const told = `round ${round}: ${JSON.stringify(asked)}\n${text}`
      const expected = decision === 'allow' ? 200 : (status ?? 0)
      assert.equal(answer, expected, told)
      seen.set(answer, (seen.get(answer) ?? 0) + 1)
    }
  }
  for (const status of [0, 200, 401, 403]) {
    assert.ok((seen.get(status) ?? 0) > 0, `nobody got ${status}: ${JSON.stringify([...seen])}`)
  }
})

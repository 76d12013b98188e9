/**
 * R75: secrets are planted wherever a mesh takes one, then everything that it puts out is searched.
 * R78: the HTTP/1.1 corpus is sent through, then the access log is read as a log reader does.
 */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer, get } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createTestCa } from '@weft/testkit'
import corpus from '../http1/cases.json' with { type: 'json' }
import {
  eventually,
  freePort,
  ownerToken,
  proxyToken,
  type Running,
  runWeft,
  startWeft,
  temporaryFolder,
} from './weft.ts'

const ca = createTestCa()
const served = ca.issue({ dns: ['front.example'] })
const HMAC_KEY = 'canary-symmetric-key-0123456789'
const claims = Buffer.from(JSON.stringify({ iss: 'canary', sub: 'canary-subject' })).toString(
  'base64url',
)
const signed = `${Buffer.from('{"alg":"HS256","kid":"k"}').toString('base64url')}.${claims}`
const JWT = `${signed}.${createHmac('sha256', HMAC_KEY).update(signed).digest('base64url')}`

/** What must be nowhere, by what it is. */
const canaries = new Map<string, string>([
  ['JWT', JWT.slice(-40)],
  ['cookie', 'canary-cookie-2f6a'],
  ['header value', 'canary-header-7b1c'],
  ['basic password', Buffer.from('user:canary-basic').toString('base64')],
  ['Redis password', 'canary-redis-password'],
  ['CA passphrase', 'canary-passphrase-90'],
  ['query token', 'canary-query-token'],
  ['chosen admin token', 'canary-chosen-admin-token'],
  // The first line would be that of any key of the kind.
  ['private key of a Secret', served.keyPem.split('\n')[2] ?? ''],
])

const MESH = (http: number, https: number, app: number) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: ${http}, name: http, protocol: HTTP}, hosts: ['*']}
  - port: {number: ${https}, name: https, protocol: HTTPS}
    hosts: [front.example]
    tls: {mode: SIMPLE, credentialName: front-cert}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: app, namespace: default}
spec:
  hosts: [app.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: ${app}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: app, namespace: default}
spec: {hosts: ['*'], gateways: [front], http: [{route: [{destination: {host: app.example}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-cookie, namespace: default}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  action: DENY
  rules: [{when: [{key: 'request.headers[x-secret]', values: ['canary-head*']}]}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: default}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  jwtRules: [{issuer: nobody, jwks: '{"keys":[]}'}]
---
apiVersion: v1
kind: Secret
metadata: {name: front-cert, namespace: default}
type: kubernetes.io/tls
stringData:
  tls.crt: ${JSON.stringify(served.certPem)}
  tls.key: ${JSON.stringify(served.keyPem)}
`

const ports = { xds: 0, admin: 0, proxyAdmin: 0, http: 0, https: 0, redis: 0 }
const started: Running[] = []
let folder: Awaited<ReturnType<typeof temporaryFolder>>
let log: string
const app = createServer((_request, response) => response.end('fine'))

before(async () => {
  folder = await temporaryFolder()
  log = join(folder.path, 'access.log')
  const mesh = join(folder.path, 'mesh')
  await mkdir(mesh)
  for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort()
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  const address = app.address()
  const appPort = typeof address === 'object' && address !== null ? address.port : 0
  writeFileSync(join(mesh, 'mesh.yaml'), MESH(ports.http, ports.https, appPort))
  const env = {
    WEFT_CA_PASSPHRASE: canaries.get('CA passphrase') ?? '',
    WEFT_RATE_LIMIT_REDIS_PASSWORD: canaries.get('Redis password') ?? '',
  }
  const control = startWeft(
    [
      ...['control', mesh, '--xds', `127.0.0.1:${ports.xds}`],
      ...['--admin', `127.0.0.1:${ports.admin}`, '--state', join(folder.path, 'plane')],
      // Nobody is there: what it says of that must not have the password.
      ...['--rate-limit-redis', `redis://limits@127.0.0.1:${ports.redis}/0`],
      ...['--log-level', 'trace'],
    ],
    { env },
  )
  started.push(control)
  await control.saw('Control plane is up')
  const gateway = startWeft([
    ...['proxy', '--role', 'gateway', '--bind', '127.0.0.1', '--concurrency', '1'],
    ...['--control', `127.0.0.1:${ports.xds}`, '--admin', `127.0.0.1:${ports.proxyAdmin}`],
    ...['--state', join(folder.path, 'gateway'), '--access-log', log, '--log-level', 'trace'],
  ])
  started.push(gateway)
  await gateway.saw('It has its configuration')
  await eventually(
    () => ask('/'),
    (status) => status === 200,
  )
})

after(async () => {
  for (const one of started.reverse()) await one[Symbol.asyncDispose]()
  app.close()
  await folder[Symbol.asyncDispose]()
})

function ask(path: string, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: ports.http, path, headers, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
    }).on('error', reject)
  })
}

async function read(port: number, path: string, token: string): Promise<string> {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).text()
}

function filesBelow(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

test('R75: no log, dump, error or metric has a private key, token, cookie or password', async () => {
  const owner = await ownerToken(ports.admin)
  const proxy = await proxyToken(ports.proxyAdmin)
  const control = ['--control', `127.0.0.1:${ports.admin}`]
  const outputs = new Map<string, string>()
  const weft = async (name: string, args: readonly string[], env: Record<string, string> = {}) => {
    const { output, errors } = await runWeft(args, { env })
    outputs.set(name, output + errors)
    return output
  }
  // Each refused in its way, so that what is said of refusals is searched too.
  await ask('/', { authorization: `Bearer ${JWT}` })
  await ask('/', { authorization: `Basic ${canaries.get('basic password')}` })
  await ask(`/?x=1&access_token=${canaries.get('query token')}`)
  await ask('/', { cookie: `session=${canaries.get('cookie')}` })
  assert.equal(await ask('/', { 'x-secret': canaries.get('header value') ?? '' }), 403)

  const joined = JSON.parse(
    (await runWeft(['join-token', 'create', '--service-account', 'a', '--json', ...control]))
      .output,
  )
  const made = JSON.parse(
    (await runWeft(['auth', 'create-token', '--user', 'ci', '--json', ...control])).output,
  )
  const { output: link } = await runWeft(['dashboard', ...control])
  const opened = await fetch(link.trim(), { redirect: 'manual' })
  const session = opened.headers.get('set-cookie')?.split(/[=;]/)[1] ?? ''
  canaries.set('join token', joined.token.split('@')[0])
  canaries.set('operator token', made.token)
  canaries.set('login code', new URL(link.trim()).searchParams.get('code') ?? '')
  canaries.set('session', session)
  canaries.set('owner token', owner)
  canaries.set('proxy token', proxy)
  for (const value of canaries.values()) assert.ok(value.length >= 12, value)

  for (const verb of ['status', 'ca', 'join-token', 'auth', 'get services']) {
    await weft(`weft ${verb}`, [...verb.split(' '), ...control, '--json'])
  }
  await weft('weft auth log', ['auth', 'log', ...control])
  await weft('weft auth list-tokens', ['auth', 'list-tokens', ...control, '--json'])
  for (const token of [canaries.get('chosen admin token') ?? '', `${made.token}x`]) {
    await weft('a token that nobody knows', ['status', ...control], { WEFT_TOKEN: token })
  }
  for (const path of [
    ...['/v1/status', '/v1/proxies', '/v1/objects', '/v1/services', '/v1/ca', '/v1/join-tokens'],
    ...['/v1/operator-tokens', '/v1/audit', '/v1/whoami', '/metrics', '/debug/syncz', '/'],
    ...['/debug/registryz', '/debug/configz', '/v1/ca/bundle', '/ready', '/nope'],
    ...['/v1/resources?proxy=default/istio-ingressgateway', '/console', '/console/login?code=x'],
    '/v1/resources?proxy=istio-ingressgateway&type=secret',
  ]) {
    outputs.set(`control ${path}`, await read(ports.admin, path, owner))
  }
  for (const path of [
    ...['/config_dump?include_eds', '/config_dump?resource=dynamic_active_secrets', '/clusters'],
    ...['/listeners', '/server_info', '/stats', '/stats/prometheus', '/help', '/ready', '/nope'],
  ]) {
    outputs.set(`proxy ${path}`, await read(ports.proxyAdmin, path, proxy))
  }
  const dump = outputs.get('proxy /config_dump?resource=dynamic_active_secrets') ?? ''
  assert.match(dump, /front-cert/, 'the Secret is in the dump, so its key could be')
  for (const [i, one] of started.entries()) {
    outputs.set(`logs of ${i}`, one.output() + one.errors())
  }
  outputs.set('access log', readFileSync(log, 'utf8'))
  outputs.set('audit log', readFileSync(join(folder.path, 'plane/operators/audit.jsonl'), 'utf8'))
  // What is kept: tokens as hashes, keys sealed by the passphrase.
  for (const file of filesBelow(join(folder.path, 'plane'))) {
    if (!file.includes('last-good')) outputs.set(file, readFileSync(file, 'utf8'))
  }
  for (const [where, text] of outputs) {
    for (const [what, secret] of canaries) {
      // The command line that asks for a link is the one place where it belongs; it is not searched.
      assert.equal(text.includes(secret), false, `${what} is in: ${where}`)
    }
    assert.doesNotMatch(text, /-----BEGIN (EC |RSA )?PRIVATE KEY-----/, where)
  }
  assert.ok((outputs.get('logs of 0') ?? '').length > 1_000)
  assert.ok((outputs.get('logs of 1') ?? '').length > 1_000)
})

test('R78: whatever the corpus sends, each line of the access log is one JSON object', async () => {
  const before = linesOf().length
  const hostile = [
    'GET /"},{"a":"\u001b[31m HTTP/1.1\r\nHost: a\r\nUser-Agent: \u001b]0;x\u0007"\\\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1","x":"2\\\r\nX-Request-Id: "\\u000a\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \u0080\u0085\u009b\u00ff\u2028\r\n\r\n',
    'GET /\u007f\u00a0 HTTP/1.1\r\nHost: "\r\n\r\n',
  ].map((text) => Buffer.from(text, 'utf8'))
  const raw = corpus.requests.map((one) => bytesOf(one.raw as Raw))
  for (let i = 0; i < raw.length + hostile.length; i += 20) {
    await Promise.all([...raw, ...hostile].slice(i, i + 20).map(sendRaw))
  }
  const lines = await eventually(
    () => linesOf(),
    (found) => found.length > before + 100,
  )
  for (const line of lines) {
    assert.doesNotMatch(line, /[\p{Cc}\u2028\u2029]/u, line)
    const entry = JSON.parse(line)
    assert.equal(typeof entry.response_code, 'number')
    assert.equal(Object.keys(entry)[0], 'start_time')
  }
})

type Raw = string | readonly (string | { readonly rep: string; readonly n: number })[]

/** As the corpus writes bytes: a code unit is a byte, `{rep, n}` repeats. */
function bytesOf(raw: Raw): Buffer {
  const parts = typeof raw === 'string' ? [raw] : raw
  const text = parts.map((one) => (typeof one === 'string' ? one : one.rep.repeat(one.n))).join('')
  return Buffer.from(text, 'latin1')
}

function linesOf(): readonly string[] {
  return readFileSync(log, 'utf8').split('\n').slice(0, -1)
}

/** Resolves when the gateway has closed, or nothing comes any more after our end. */
function sendRaw(bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(ports.http, '127.0.0.1')
    socket.on('error', () => resolve())
    socket.on('close', () => resolve())
    socket.resume().setTimeout(1_000, () => socket.destroy())
    socket.end(bytes)
  })
}

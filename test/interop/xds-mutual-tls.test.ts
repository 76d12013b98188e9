/**
 * Proxies of other machines, as far as one machine can show it: xDS and certificates over TLS only,
 * a join token to begin with, the certificate itself from then on.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, request } from 'node:http'
import { createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { type Running, runWeft, startWeft } from '../e2e/weft.ts'
import { serviceYaml } from './mesh.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-xds-mtls-'))
const mesh = join(folder, 'mesh')
const started: Running[] = []
const env = { XDG_STATE_HOME: join(folder, 'state') }
let xds = 0
let secure = 0
let admin = 0

before(async () => {
  mkdirSync(mesh)
  ;[xds, secure, admin] = [await freePort(), await freePort(), await freePort()]
  await startControl()
})

after(async () => {
  for (const one of started.reverse()) await one[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

async function startControl(): Promise<Running> {
  const control = startWeft(
    [
      ...['control', mesh, '--xds', `127.0.0.1:${xds}`, '--xds-tls', `127.0.0.1:${secure}`],
      ...['--admin', `127.0.0.1:${admin}`, '--state', join(folder, 'plane')],
      ...['--cert-ttl', '16s', '--max-cert-ttl', '16s', '--log-level', 'info'],
    ],
    { env },
  )
  started.push(control)
  await control.saw('Control plane is up')
  return control
}

async function tokenFor(serviceAccount: string): Promise<string> {
  const made = await runWeft(
    [
      ...['join-token', 'create', '--service-account', serviceAccount],
      ...['--control', `http://127.0.0.1:${admin}`],
    ],
    { env },
  )
  assert.equal(made.exitCode, 0, made.errors)
  return made.output.trim()
}

function startProxy(account: string, more: readonly string[]): Running {
  const running = startWeft(
    [
      ...['proxy', '--admin', '127.0.0.1:0'],
      ...(more.includes('--control') ? [] : ['--control', `tls:127.0.0.1:${secure}`]),
      ...['--outbound', '127.0.0.1:0', '--name', account, '--log-level', 'info', ...more],
    ],
    { env },
  )
  started.push(running)
  return running
}

const issuedBy = (control: Running, by: string) =>
  control
    .errors()
    .split('\n')
    .filter((line) => line.includes('certificate issued') && line.includes(by)).length

test('a join token begins, the certificate renews itself, and xDS goes over mutual TLS with it', async () => {
  const control = started[0]
  assert.ok(control)
  const proxy = startProxy('web', [
    ...['--service-account', 'web', '--join-token', await tokenFor('web')],
  ])
  await proxy.saw('It has its configuration')
  assert.equal(issuedBy(control, 'joinToken'), 1)
  await eventually(() => assert.ok(issuedBy(control, '"certificate"') >= 1), 20_000)
  assert.equal(issuedBy(control, 'joinToken'), 1)
})

test('who comes back needs no token', async () => {
  const again = startProxy('web', ['--service-account', 'web'])
  await again.saw('It has its configuration')
})

test('R74 a proxy that says it is somebody else is given nothing', async () => {
  const proxy = startProxy('liar', [
    ...['--service-account', 'admin', '--join-token', await tokenFor('liar')],
  ])
  await proxy.saw(/you are spiffe:[^"]*liar, not spiffe:[^"]*admin/)
  assert.doesNotMatch(proxy.output(), /It has its configuration/)
})

test('limits that the control plane counts are asked for over the same mutual TLS', async (t) => {
  const app = createServer((_, answer) => answer.end('ok')).listen(0, '127.0.0.1')
  t.after(() => app.close())
  await once(app, 'listening')
  const { port: to } = app.address() as AddressInfo
  writeFileSync(
    join(mesh, 'limited.yaml'),
    `${serviceYaml('limited', 'default', [{ name: 'http', port: 80, to: [to] }])}---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: limited }
spec:
  hosts: [limited.default.svc.cluster.local]
  http: [{ route: [{ destination: { host: limited.default.svc.cluster.local } }] }]
---
apiVersion: weft.io/v1
kind: RateLimit
metadata: { name: limited }
spec:
  targetRefs: [{ kind: VirtualService, name: limited }]
  mode: Global
  failureMode: Closed
  limits: [{ requests: 3, per: 1h }]
`,
  )
  const proxy = startProxy('caller', [
    ...['--service-account', 'caller', '--join-token', await tokenFor('caller')],
  ])
  await proxy.saw('It has its configuration')
  const outbound = /HTTP_PROXY=http:\/\/127\.0\.0\.1:(\d+)/.exec(proxy.output())?.[1]
  const call = async () => {
    const host = 'limited.default.svc.cluster.local'
    const sent = request({
      host: '127.0.0.1',
      port: outbound,
      path: `http://${host}/`,
      headers: { host },
    })
    sent.end()
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    answer.resume()
    await once(answer, 'end')
    return answer.statusCode
  }
  // 500: nobody answered whether it may pass.
  await eventually(async () => assert.notEqual(await call(), 404))
  const statuses = []
  for (let i = 0; i < 6; i++) statuses.push(await call())
  assert.ok(
    statuses.every((status) => status === 200 || status === 429),
    statuses.join(),
  )
  assert.equal(statuses.at(-1), 429)
})

test('a token is not shown to an authority that its hash does not name', async () => {
  const { certPem, keyPem } = createTestCa('impostor').issue({ dns: ['istiod.istio-system.svc'] })
  await using impostor = await openImpostor(certPem, keyPem)
  const token = await tokenFor('careful')
  const proxy = startProxy('careful', [
    ...['--service-account', 'careful', '--join-token', token],
    ...['--control', `tls:127.0.0.1:${impostor.port}`],
  ])
  await proxy.saw(/not the one that the join token names/)
  assert.equal(impostor.requests(), 0)
})

test('a workload of the mesh cannot pass for its control plane', async () => {
  const token = await tokenFor('victim')
  const state = join(folder, 'state', 'weft', 'proxies')
  const [own = ''] = readdirSync(state).filter((name) => name.startsWith('default.web-'))
  const { chainPem, keyPem, rootsPem } = JSON.parse(
    readFileSync(join(state, own, 'svid.json'), 'utf8'),
  ) as Record<string, string>
  await using impostor = await openImpostor(`${chainPem}${rootsPem}`, keyPem ?? '')
  const proxy = startProxy('victim', [
    ...['--service-account', 'victim', '--join-token', token],
    ...['--control', `tls:127.0.0.1:${impostor.port}`],
  ])
  await eventually(() => assert.match(proxy.errors(), /does not contain a DNS name/))
  assert.equal(impostor.requests(), 0)
})

test('a proxy that was there before its control plane has an identity soon after it came', async () => {
  const [port, adminPort] = [await freePort(), await freePort()]
  const early = startWeft(
    [
      ...['proxy', '--control', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${await freePort()}`],
      ...['--outbound', '127.0.0.1:0', '--name', 'early', '--log-level', 'info'],
    ],
    { env },
  )
  started.push(early)
  await early.saw(/there is no certificate authority/)
  const args = [
    ...['control', mesh, '--xds', `127.0.0.1:${port}`, '--admin', `127.0.0.1:${adminPort}`],
    ...['--state', join(folder, 'later')],
  ]
  const control = startWeft(args, { env })
  await early.saw(/certificate came/)
  await bundleIsHeld(adminPort)
  // A control plane that knows nothing of the ACKs before.
  control.process.kill('SIGKILL')
  await control.finished
  started.push(startWeft(args, { env }))
  await bundleIsHeld(adminPort)
})

/** By all proxies that there are, of which there is one. */
async function bundleIsHeld(adminPort: number): Promise<void> {
  await eventually(async () => {
    const control = ['--control', `http://127.0.0.1:${adminPort}`, '--json']
    const { output } = await runWeft(['ca', 'status', ...control], { env })
    const { holders } = JSON.parse(output) as { holders: { bundleVersion: number }[] }
    assert.deepEqual(
      holders.map(({ bundleVersion }) => bundleVersion),
      [1],
    )
  }, 40_000)
}

/** Shows a certificate, and counts what it is asked. */
async function openImpostor(cert: string, key: string) {
  let requests = 0
  const server = createSecureServer({ cert, key, ALPNProtocols: ['h2'] }, () => requests++)
  server.on('stream', () => requests++)
  server.on('sessionError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    requests: () => requests,
    [Symbol.asyncDispose]: async () => void server.close(),
  }
}

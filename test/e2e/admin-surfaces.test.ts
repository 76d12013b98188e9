/** Who may call what on the admin surfaces of a mesh that is started as people start one. */
import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { listeningSockets } from './listening-sockets.ts'
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

const GATEWAY = (port: number) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: ${port}, name: http, protocol: HTTP}, hosts: ['*']}]
`
const isLinux = process.platform === 'linux' ? false : 'reads /proc, which Linux has'

let folder: Awaited<ReturnType<typeof temporaryFolder>>
let mesh: string
let up: Running
let gateway: Running
const ports = { xds: 0, xdsTls: 0, admin: 0, adminTls: 0, proxyAdmin: 0, http: 0 }
const started: Running[] = []
/** Of another user, as far as weft can see: nothing of ours is found there. */
const STRANGER = () => ({
  env: {
    XDG_STATE_HOME: join(folder.path, 'nobody'),
    XDG_CONFIG_HOME: join(folder.path, 'config'),
  },
})
const control = () => ['--control', `127.0.0.1:${ports.admin}`]

before(async () => {
  folder = await temporaryFolder()
  mesh = join(folder.path, 'mesh')
  await mkdir(mesh)
  for (const name of Object.keys(ports) as (keyof typeof ports)[]) ports[name] = await freePort()
  writeFileSync(join(mesh, 'gateway.yaml'), GATEWAY(ports.http))
  up = startWeft([
    ...['control', mesh, '--xds', `127.0.0.1:${ports.xds}`, '--admin', `127.0.0.1:${ports.admin}`],
    ...['--xds-tls', `127.0.0.1:${ports.xdsTls}`, '--admin-tls', `127.0.0.1:${ports.adminTls}`],
    ...['--admin-socket', join(folder.path, 'run', 'admin.sock')],
    ...['--state', join(folder.path, 'plane')],
  ])
  started.push(up)
  await up.saw('Control plane is up')
  gateway = startWeft([
    ...['proxy', '--role', 'gateway', '--bind', '127.0.0.1', '--concurrency', '1'],
    ...['--control', `127.0.0.1:${ports.xds}`, '--admin', `127.0.0.1:${ports.proxyAdmin}`],
    ...['--state', join(folder.path, 'gateway')],
  ])
  started.push(gateway)
  await gateway.saw('It has its configuration')
})

after(async () => {
  for (const one of started.reverse()) await one[Symbol.asyncDispose]()
  await folder[Symbol.asyncDispose]()
})

describe('R70: what listens', { skip: isLinux }, () => {
  const at = (...list: readonly number[]) => list.map((port) => `127.0.0.1:${port}`).sort()

  test('R70: a control plane listens on what it says, on loopback, and on nothing else', () => {
    const { xds, xdsTls, admin, adminTls } = ports
    const { tcp } = listeningSockets(up.process.pid ?? 0)
    assert.deepEqual(tcp, at(xds, xdsTls, admin, adminTls))
  })

  test('R70: a gateway listens on its admin port and on what Gateways name', async () => {
    const pid = gateway.process.pid ?? 0
    const { tcp, unix } = await eventually(
      () => listeningSockets(pid),
      (found) => found.tcp.length >= 2,
    )
    assert.deepEqual(tcp, at(ports.proxyAdmin, ports.http))
    assert.deepEqual(unix, [])
  })

  test('R70: weft up listens on what it prints', async () => {
    const other = join(folder.path, 'other')
    await mkdir(other)
    const http = await freePort()
    writeFileSync(join(other, 'gateway.yaml'), GATEWAY(80))
    await using whole = startWeft([
      ...[
        'up',
        other,
        '--xds',
        '127.0.0.1:0',
        '--admin',
        '127.0.0.1:0',
        '--http',
        `${http}`,
        '--json',
      ],
    ])
    await whole.saw('"ready":true')
    const facts = JSON.parse(whole.output().split('\n')[0] ?? '')
    const portOf = (text: string) => Number(/:(\d+)$/.exec(text)?.[1])
    const said = at(...[facts.xds, facts.admin, facts.gatewayAdmin, facts.gateway].map(portOf))
    await eventually(
      () => listeningSockets(whole.process.pid ?? 0).tcp,
      (tcp) => JSON.stringify(tcp) === JSON.stringify(said),
    )
    assert.match(facts.console, /^http:\/\/127\.0\.0\.1:\d+\/console\/login\?code=[\w-]{43}$/)
    const opened = await fetch(facts.console, { redirect: 'manual' })
    assert.equal(opened.status, 303)
    assert.match(opened.headers.get('set-cookie') ?? '', /HttpOnly; SameSite=Strict/)
  })

  test('R70: an admin port that others would reach is refused, with what to do', async () => {
    const plane = await runWeft(['control', mesh, '--xds', '127.0.0.1:0', '--admin', '0.0.0.0:0'])
    assert.equal(plane.exitCode, 1)
    assert.match(plane.errors, /Cannot serve the admin API without TLS on 0\.0\.0\.0.*--admin-tls/)
    const proxy = await runWeft([
      ...['proxy', '--admin', '0.0.0.0:0', '--control', `127.0.0.1:${ports.xds}`],
      ...['--outbound', '127.0.0.1:0'],
    ])
    assert.equal(proxy.exitCode, 1)
    assert.match(proxy.errors, /Cannot open the admin port on 0\.0\.0\.0 without a token/)
  })
})

describe('R70: changes on the admin port of a proxy', () => {
  const ask = async (path: string, method: string, token?: string) =>
    (
      await fetch(`http://127.0.0.1:${ports.proxyAdmin}${path}`, {
        method,
        ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
      })
    ).status

  test('R70: everybody here may look; to change something takes the token', async () => {
    const token = await proxyToken(ports.proxyAdmin)
    for (const path of ['/ready', '/stats', '/config_dump', '/clusters', '/server_info']) {
      assert.equal(await ask(path, 'GET'), 200, path)
    }
    for (const path of ['/quitquitquit', '/drain_listeners', '/upgrade', '/logging?level=info']) {
      assert.equal(await ask(path, 'POST'), 401, path)
      assert.equal(await ask(path, 'POST', `${token}x`), 401, path)
    }
    assert.equal(await ask('/logging?level=warn', 'POST', token), 200)
    assert.equal(await ask('/ready', 'GET'), 200)
  })

  test('R70: where others reach it, everything but /ready takes the token that was chosen', async () => {
    const port = await freePort()
    const file = join(folder.path, 'token')
    writeFileSync(file, 'a-token-that-was-chosen\n', { mode: 0o600 })
    await using proxy = startWeft([
      ...['proxy', '--name', 'open', '--admin', `0.0.0.0:${port}`, '--admin-token-file', file],
      ...['--control', `127.0.0.1:${ports.xds}`, '--outbound', '127.0.0.1:0'],
      ...['--state', join(folder.path, 'open')],
    ])
    await proxy.saw('It has its configuration')
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).status
    assert.equal(await status('/ready'), 200)
    for (const path of ['/config_dump', '/stats', '/clusters']) {
      assert.equal(await status(path), 401, path)
      const headers = { authorization: 'Bearer a-token-that-was-chosen' }
      assert.equal(await status(path, headers), 200, path)
    }
  })
})

describe('weft finds its proof', () => {
  test('the user who runs it needs nothing', async () => {
    const { exitCode, output } = await runWeft(['auth', 'whoami', ...control()])
    assert.equal(exitCode, 0)
    assert.match(output, /^system:owner \(by owner\).*\n {2}admin in all namespaces\n$/)
    assert.match(await ownerToken(ports.admin), /^wat_/)
  })

  test('somebody else is nobody, and hears what to do', async () => {
    for (const args of [['status'], ['join-token', 'create', '--service-account', 'a'], ['ca']]) {
      const { exitCode, errors, output } = await runWeft([...args, ...control()], STRANGER())
      assert.equal(exitCode, 1, args.join(' '))
      assert.match(errors, /does not know you.*--token-file FILE, WEFT_TOKEN/)
      assert.equal(output, '')
    }
  })

  test('the unix socket needs nothing either', async () => {
    const socket = join(folder.path, 'run', 'admin.sock')
    assert.equal(statSync(socket).mode & 0o777, 0o600)
    const { output } = await runWeft(['auth', '--control', `unix:${socket}`], STRANGER())
    assert.match(output, /^system:owner \(by socket\)/)
  })

  test('a token of one namespace: by file, by environment, kept by login; and no more when revoked', async () => {
    const made = await runWeft([
      ...['auth', 'create-token', '--user', 'ci', '--role', 'operator', '-n', 'shop', '--json'],
      ...control(),
    ])
    const { token, id } = JSON.parse(made.output)
    const file = join(folder.path, 'ci-token')
    writeFileSync(file, `${token}\n`)
    const who = await runWeft(['auth', ...control(), '--token-file', file], STRANGER())
    assert.match(who.output, /^ci \(by token\).*\n {2}operator in shop\n$/)
    const env = { env: { ...STRANGER().env, WEFT_TOKEN: token } }
    const yes = await runWeft(['auth', 'can', 'objects.apply', '-n', 'shop', ...control()], env)
    assert.deepEqual([yes.exitCode, yes.output], [0, 'yes\n'])
    const no = await runWeft(['auth', 'can', 'objects.apply', '-n', 'bank', ...control()], env)
    assert.equal(no.exitCode, 1)
    assert.match(
      no.output,
      /^no: ci may not do objects\.apply: it needs the role operator in names/,
    )
    const rule = join(folder.path, 'rule.yaml')
    const text = (namespace: string) =>
      `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, namespace: ${namespace}}\nspec: {host: r}\n`
    writeFileSync(rule, text('bank'))
    const refused = await runWeft(['apply', '-f', rule, ...control()], env)
    assert.equal(refused.exitCode, 1)
    assert.match(refused.errors, /Not allowed: ci may not do objects\.apply/)
    writeFileSync(rule, text('shop'))
    assert.equal((await runWeft(['apply', '-f', rule, ...control()], env)).exitCode, 0)

    const login = await runWeft(['auth', 'login', ...control(), '--token-file', file], STRANGER())
    assert.equal(login.exitCode, 0, login.errors)
    assert.equal((await runWeft(['status', ...control()], STRANGER())).exitCode, 0)
    const revoked = await runWeft(['auth', 'revoke-token', id, ...control()])
    assert.equal(revoked.exitCode, 0)
    assert.equal((await runWeft(['status', ...control()], STRANGER())).exitCode, 1)

    const log = await runWeft(['auth', 'log', ...control()])
    assert.match(log.output, /ci +127\.0\.0\.1:\d+ +objects\.apply +403 +DestinationRule bank\/r/)
    assert.match(log.output, /ci +127\.0\.0\.1:\d+ +objects\.apply +done +DestinationRule shop\/r/)
    assert.doesNotMatch(log.output, new RegExp(token))
  })

  test('over TLS the control plane is known by the roots of its mesh, the caller by a token', async () => {
    const roots = join(folder.path, 'roots.pem')
    writeFileSync(roots, (await runWeft(['ca', 'export', ...control()])).output)
    const far = ['--control', `https://127.0.0.1:${ports.adminTls}`]
    const token = await ownerToken(ports.admin)
    const env = { env: { ...STRANGER().env, WEFT_TOKEN: token } }
    const known = await runWeft(['auth', ...far, '--ca-file', roots], env)
    assert.equal(known.exitCode, 0, known.errors)
    // Without the roots nobody is believed, and no token is sent.
    const unknown = await runWeft(['auth', ...far], env)
    assert.equal(unknown.exitCode, 3)
    assert.match(unknown.errors, /Cannot reach a control plane at https.*certificate/)
  })

  test('weft dashboard prints a link that signs in', async () => {
    const { output } = await runWeft(['dashboard', ...control()])
    const opened = await fetch(output.trim(), { redirect: 'manual' })
    assert.equal(opened.status, 303)
    const cookie = opened.headers.get('set-cookie')?.split(';')[0] ?? ''
    const page = await fetch(`http://127.0.0.1:${ports.admin}/console`, { headers: { cookie } })
    assert.match(await page.text(), /<h1>Weft<\/h1>/)
  })

  test('the audit log is a file of the owner’s', () => {
    const file = join(folder.path, 'plane', 'operators', 'audit.jsonl')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    for (const line of readFileSync(file, 'utf8').trim().split('\n')) assert.ok(JSON.parse(line))
  })
})

/** `weft broker` with a control plane and the npm client, each in a process as a user starts it. */
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { DialOptions, Program } from '../interop/rsocket-program.ts'
import { npmPrograms } from '../interop/rsocket-programs.ts'
import {
  bootstrapSecret,
  eventually,
  freePort,
  type Running,
  runWeft,
  startWeft,
  temporaryFolder,
} from './weft.ts'

const [npmClient] = npmPrograms

interface OpenBroker extends AsyncDisposable {
  readonly broker: Running
  readonly ports: Readonly<Record<string, number>>
  readonly control: string
  readonly folder: string
  /** What `weft token create` prints. */
  token(namespace: string, serviceAccount: string, ...more: string[]): Promise<string>
  dial(options: Partial<DialOptions>): Promise<Program>
}

async function openBroker(...more: string[]): Promise<OpenBroker> {
  const stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder()).path
  const [xds, admin] = [await freePort(), await freePort()]
  const control = `127.0.0.1:${xds}`
  await mkdir(join(folder, 'mesh'))
  const plane = stack.use(
    startWeft([
      ...['control', join(folder, 'mesh'), '--xds', control, '--admin', `127.0.0.1:${admin}`],
      ...['--state', join(folder, 'plane')],
    ]),
  )
  await plane.saw('Control plane is up')
  const broker = stack.use(
    startWeft([
      ...['broker', '--control', control, '--state', join(folder, 'broker'), '--json'],
      ...['--listen', '127.0.0.1:0', '--listen-ws', 'off', '--admin', '127.0.0.1:0', ...more],
    ]),
  )
  const ports = await portsOf(broker)
  return {
    broker,
    ports,
    control,
    folder,
    async token(namespace, serviceAccount, ...options) {
      const words = ['token', 'create', '-n', namespace, '--service-account', serviceAccount]
      const made = await runWeft([...words, '--control', control, ...options])
      assert.equal(made.exitCode, 0, made.errors)
      return made.output.trim()
    },
    async dial(options) {
      const program = await dialTo(ports, options)
      stack.defer(() => program.close())
      return program
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** From its ready line. */
async function portsOf(broker: Running): Promise<Readonly<Record<string, number>>> {
  await broker.saw('"ready":true')
  const line = broker
    .output()
    .split('\n')
    .find((each) => each.includes('"ready":true'))
  const up: Readonly<Record<string, unknown>> = JSON.parse(line ?? '{}')
  const named = Object.entries(up).map(([name, at]) => [name, Number(String(at).split(':').at(-1))])
  return Object.fromEntries(named)
}

async function dialTo(
  ports: Readonly<Record<string, number>>,
  options: Partial<DialOptions>,
): Promise<Program> {
  assert.ok(npmClient !== undefined)
  const plain = { carrier: 'tcp', port: ports.tcp ?? 0, caPem: '', services: [] } as const
  return npmClient.dial({ ...plain, ...options })
}

/** The first answer tells whether the link was taken: SETUP has none. */
function greet(program: Program): Promise<string[]> {
  return program.response('weft.broker.hello', '')
}

describe('weft broker', () => {
  test('lets in who has a token of the mesh, and nobody else', async () => {
    await using mesh = await openBroker()
    const refused = async (options: Partial<DialOptions>) =>
      (await greet(await mesh.dial(options))).join()
    assert.match(await refused({}), /WEFT-401 a client certificate or a bearer token/)
    assert.match(await refused({ token: 'not.a.token' }), /WEFT-401 Jwt/)
    const token = await mesh.token('shop', 'cart')
    assert.match(await refused({ token, namespace: 'bank' }), /WEFT-403 .* namespace bank/)
    const elsewhere = await mesh.token('shop', 'cart', '--audience', 'somebody-else')
    assert.match(await refused({ token: elsewhere }), /WEFT-401 Audiences in Jwt/)

    await mesh.dial({
      ...{ app: 'cart', namespace: 'shop', services: ['com.acme.Cart'] },
      ...{ token, answer: () => 'from cart' },
    })
    const web = await mesh.token('shop', 'web')
    const caller = await mesh.dial({ app: 'web', namespace: 'shop', token: web })
    await eventually(
      () => caller.response('com.acme.Cart.add', 'x'),
      ([answer]) => answer === 'from cart',
    )
  })

  test('tells on its admin port and by weft get who is connected, and counts the calls', async () => {
    await using mesh = await openBroker()
    const admin = `127.0.0.1:${mesh.ports.admin}`
    const cart = { app: 'cart', services: ['com.acme.Cart'], answer: () => 'from cart' }
    await mesh.dial({ ...cart, token: await mesh.token('shop', 'cart') })
    const caller = await mesh.dial({ app: 'web', token: await mesh.token('shop', 'web') })
    await eventually(
      () => caller.response('com.acme.Cart.add', 'x'),
      ([answer]) => answer === 'from cart',
    )
    const shown = await runWeft(['get', 'links', '--broker', admin])
    assert.match(
      shown.output,
      /shop\/cart .* cluster\.local\/ns\/shop\/sa\/cart .* com\.acme\.Cart/,
    )
    const { output } = await runWeft(['get', 'links', '--broker', admin, '--name', 'web', '--json'])
    assert.deepEqual(
      JSON.parse(output).map(({ app }: { app: string }) => app),
      ['web'],
    )
    assert.match((await runWeft(['get', 'leases', '--broker', admin])).output, /Nobody/)
    assert.equal((await runWeft(['get', 'links', '--broker', '127.0.0.1:1'])).exitCode, 3)
    const stats = await (await fetch(`http://${admin}/stats/prometheus`)).text()
    assert.match(stats, /^weft_rsocket_connections\{state="open"\} 2$/m)
    const calls = stats.split('\n').filter((line) => /^istio_requests_total.* [1-9]/.test(line))
    const isOurs = (line: string) =>
      /source_workload="web"/.test(line) &&
      /destination_workload="cart"/.test(line) &&
      /request_protocol="rsocket",response_code="200"/.test(line)
    assert.ok(calls.some(isOurs), stats)
  })

  test('policies see who the token says, not who the program says it is', async () => {
    await using mesh = await openBroker()
    await writeFile(
      join(mesh.folder, 'mesh', 'web-only.yaml'),
      [
        'apiVersion: security.istio.io/v1',
        'kind: AuthorizationPolicy',
        'metadata: { name: web-only, namespace: shop }',
        'spec:',
        '  selector: { matchLabels: { app: cart } }',
        "  rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/web'] } }] }]",
        '',
      ].join('\n'),
    )
    const shop = { namespace: 'shop' }
    await mesh.dial({
      ...{ ...shop, app: 'cart', services: ['com.acme.Cart'], answer: () => 'from cart' },
      token: await mesh.token('shop', 'cart'),
    })
    const web = await mesh.dial({ ...shop, app: 'web', token: await mesh.token('shop', 'web') })
    const thief = await mesh.dial({ ...shop, app: 'web', token: await mesh.token('shop', 'job') })
    const ask = (program: Program) => program.response('com.acme.Cart.add', 'x')
    await eventually(
      () => ask(thief),
      ([answer]) => answer === '#403 RBAC: access denied',
    )
    await eventually(
      () => ask(web),
      ([answer]) => answer === 'from cart',
    )
  })

  test('a link whose token is over is cut within 30 seconds', async () => {
    await using mesh = await openBroker()
    const token = await mesh.token('shop', 'cart', '--ttl', '2s')
    const program = await mesh.dial({ token })
    assert.match((await greet(program)).join(), /"broker"/)
    await eventually(
      () => greet(program),
      (answers) => answers.join().startsWith('#'),
      35_000,
    )
  })

  test('the owner of the control plane needs no token of its own, on this machine', async () => {
    await using mesh = await openBroker()
    const token = await bootstrapSecret(mesh.control)
    const program = await mesh.dial({ token, namespace: 'shop', app: 'cart' })
    assert.match((await greet(program)).join(), /"broker"/)
  })

  test('over TLS it shows the certificate of the mesh, and takes those of workloads', async () => {
    await using mesh = await openBroker('--listen-tls', '127.0.0.1:0')
    const { ports, control, folder } = mesh
    const certs = join(folder, 'certs')
    await using agent = startWeft([
      ...['agent', '-n', 'shop', '--service-account', 'cart', '--control', control],
      ...['--socket', join(folder, 's.sock'), '--cert-dir', certs, '--state', join(folder, 'a')],
    ])
    await agent.saw('It is spiffe://')
    const read = (name: string) => readFile(join(certs, name), 'utf8')
    const caPem = await read('root-cert.pem')
    const tls = { carrier: 'tls', port: ports.tls ?? 0, caPem, isSvid: true } as const
    const certificate = { certPem: await read('cert-chain.pem'), keyPem: await read('key.pem') }
    const known = await mesh.dial({ ...tls, ...certificate })
    assert.match((await greet(known)).join(), /"broker"/)
    const elsewhere = await mesh.dial({ ...tls, ...certificate, namespace: 'bank' })
    assert.match((await greet(elsewhere)).join(), /WEFT-403/)
    const nobody = await mesh.dial(tls)
    assert.match((await greet(nobody)).join(), /WEFT-401/)
  })

  test('SIGTERM drains and ends with 0', async () => {
    await using mesh = await openBroker('--drain', '1s')
    const program = await mesh.dial({ token: await mesh.token('shop', 'cart') })
    await greet(program)
    mesh.broker.process.kill('SIGTERM')
    assert.equal((await mesh.broker.finished).exitCode, 0)
  })

  test('does not start open to everybody', async () => {
    const cases = [
      [['--standalone'], /nobody could prove who it is/],
      [['--control', 'unix:/run/weft/xds.sock'], /nobody could prove who it is.*--join-token/],
      [['--allow-anonymous', '--listen', '0.0.0.0:0'], /--allow-anonymous is for loopback/],
      [['--listen', '0.0.0.0:0'], /tokens can be read on the way/],
      [
        ['--standalone', '--allow-anonymous', '--listen-tls', '127.0.0.1:0'],
        /TLS needs a certific/,
      ],
    ] as const
    for (const [words, problem] of cases) {
      const { exitCode, errors } = await runWeft(['broker', '--listen-ws', 'off', ...words])
      assert.equal(exitCode, 2)
      assert.match(errors, problem)
    }
  })

  test('without a control plane it takes tokens of a key that the user made', async () => {
    await using folder = await temporaryFolder()
    const key = join(folder.path, 'dev.key')
    const words = ['token', 'create', '--service-account', 'cart', '--key', key]
    const made = await runWeft([...words, '--issuer', 'https://dev.example', '--json'])
    const { token } = JSON.parse(made.output)
    await using broker = startWeft([
      ...['broker', '--standalone', '--jwks', `https://dev.example=${key}.jwks.json`, '--json'],
      ...['--listen', '127.0.0.1:0', '--listen-ws', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
    ])
    const ports = await portsOf(broker)
    const cart = await dialTo(ports, {
      token,
      services: ['com.acme.Cart'],
      answer: () => 'from cart',
    })
    const caller = await dialTo(ports, { token, carrier: 'ws', port: ports.ws ?? 0 })
    assert.deepEqual(await caller.response('com.acme.Cart.add', 'x'), ['from cart'])
    const nobody = await dialTo(ports, {})
    assert.match((await greet(nobody)).join(), /WEFT-401/)
    for (const each of [cart, caller, nobody]) each.close()
  })
})

/**
 * The SPIFFE project's own library, go-spiffe, as the workload: it has its X.509 and JWT SVIDs from
 * `weft agent` and from `weft run`, sees what is renewed, and speaks mutual TLS with a sidecar.
 *
 * Needs Go, and its modules; without them the tests are skipped, and counted as skipped.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, freePort } from '@weft/testkit'
import type { Running } from '../e2e/weft.ts'
import { APP, type IdentityMesh, policy, startIdentityMesh } from './identity-mesh.ts'

const SOURCE = fileURLToPath(new URL('./go-spiffe', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'weft-go-spiffe-'))
const CLIENT = join(folder, 'client')
const CART = 'spiffe://cluster.local/ns/default/sa/cart'
const WEB = 'spiffe://cluster.local/ns/default/sa/web'
const skip = buildClient()

let mesh: IdentityMesh
let inbound = 0
const socket = () => join(mesh.folder, 'web', 'workload.sock')

before(async () => {
  if (skip !== false) return
  mesh = await startIdentityMesh('spiffe')
  mesh.write('strict.yaml', policy('STRICT'))
  const control = ['--control', `127.0.0.1:${mesh.xdsPort}`]
  inbound = await freePort()
  await mesh.start(
    [
      ...['run', ...control, '--service', 'cart', '--port', '80', '--app-port', '0'],
      ...['--service-account', 'cart', '--inbound', `127.0.0.1:${inbound}`],
      ...['--', process.execPath, '--eval', APP],
    ],
    'the application is up',
  )
  const options = ['--service-account', 'web', '--socket', socket(), '--cert-ttl', '60s']
  await mesh.start(['agent', ...control, ...options], `It is ${WEB}`)
})

after(async () => {
  rmSync(folder, { recursive: true, force: true })
  if (skip === false) await mesh[Symbol.asyncDispose]()
})

test('go-spiffe has X.509 and JWT SVIDs from the agent, and each verifies by its own rules', {
  skip,
}, async () => {
  await using client = startClient()
  await client.saw('refused')
  assert.equal(client.last('x509')?.id, WEB)
  assert.deepEqual(client.last('bundles'), { 'cluster.local': 1 })
  assert.deepEqual(client.last('jwt'), { id: WEB, audiences: ['pay', 'ship'] })
  assert.equal(client.last('validated'), WEB)
  assert.match(String(client.last('refused')), /InvalidArgument/)
})

test('go-spiffe and a sidecar speak mutual TLS; the application hears who called', {
  skip,
}, async () => {
  await using client = startClient('-dial', `https://127.0.0.1:${inbound}/`, '-peer', CART)
  await client.saw('peer')
  const { status, body } = client.last('peer') as { status: number; body: string }
  assert.equal(status, 200)
  assert.match(String(JSON.parse(body)['x-forwarded-client-cert']), new RegExp(`URI=${WEB}$`))
})

test('go-spiffe refuses a sidecar that is somebody else', { skip }, async () => {
  await using client = startClient('-dial', `https://127.0.0.1:${inbound}/`, '-peer', WEB)
  assert.match(await client.failed, /unexpected ID/)
})

test('a new root and a new certificate come on the stream while it is open', { skip }, async () => {
  await using client = startClient()
  await client.saw('refused')
  const { serial } = client.last('x509') as { serial: string }
  const rotated = await mesh.weft(['ca', 'rotate', '--control', `127.0.0.1:${mesh.adminPort}`])
  assert.equal(rotated.exitCode, 0, rotated.errors)
  await eventually(() => assert.deepEqual(client.last('bundles'), { 'cluster.local': 2 }), 10_000)
  // Half-way through its minute.
  await eventually(() => assert.notEqual(client.last('x509')?.serial, serial), 45_000)
})

test('what weft run starts has its identity without an agent', { skip }, async () => {
  const running: Running = await mesh.start(
    [
      ...['run', '--control', `127.0.0.1:${mesh.xdsPort}`, '--service-account', 'job'],
      ...['--name', 'job', '--', CLIENT],
    ],
    'refused',
  )
  assert.match(running.output(), /"validated":"spiffe:\/\/cluster\.local\/ns\/default\/sa\/job"/)
})

/** False, or why not. What does not compile is a failure, not a reason to skip. */
function buildClient(): string | false {
  const go = (...args: string[]) =>
    spawnSync('go', args, { cwd: SOURCE, encoding: 'utf8', timeout: 300_000 })
  if (go('version').status !== 0) return 'no Go'
  const had = go('mod', 'download')
  if (had.status !== 0) return `the Go modules are not to be had: ${had.stderr.slice(0, 200)}`
  const built = go('build', '-o', CLIENT, '.')
  assert.equal(built.status, 0, built.stderr)
  return false
}

interface Client extends AsyncDisposable {
  /** Resolves when a line of this kind came. */
  saw(kind: string): Promise<void>
  last(kind: string): { readonly [field: string]: unknown } | undefined
  /** What it said when it gave up. */
  readonly failed: Promise<string>
}

function startClient(...args: string[]): Client {
  const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${socket()}` }
  const child: ChildProcess = spawn(CLIENT, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'exit')
  let output = ''
  let errors = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const last = (kind: string) => {
    const lines = output.split('\n').slice(0, -1)
    const said = lines.map((line) => JSON.parse(line) as Record<string, never>)
    return said.findLast((one) => kind in one)?.[kind]
  }
  return {
    last,
    saw: (kind) => eventually(() => assert.ok(last(kind) !== undefined, errors), 30_000),
    failed: ended.then(() => errors),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

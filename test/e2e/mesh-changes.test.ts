/** What must not be noticed by callers: a control plane that dies, a file that is wrong. */
import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { eventually, freePort, runWeft, serverCode, startWeft, temporaryFolder } from './weft.ts'

const node = process.execPath
/** Calls `hello` all the time, prints a line whenever it is asked for by a line of input. */
const CALLER = `
let ok = 0, failed = 0, seen = new Set()
async function call() {
  try {
    const r = await fetch('http://hello:8000/'); const text = await r.text()
    seen.add(text); if (r.status === 200) ok++; else { failed++; console.log('failed', r.status, text) }
  } catch (e) { failed++; console.log('failed', e.cause?.message ?? e.message) }
}
(async () => { for (;;) { await call(); await new Promise((r) => setTimeout(r, 2)) } })()
setInterval(() => { console.log(JSON.stringify({ ok, failed, seen: [...seen] })); seen = new Set() }, 100)
`

interface Counts {
  readonly ok: number
  readonly failed: number
  readonly seen: readonly string[]
}

async function openMesh() {
  const folder = await temporaryFolder()
  const mesh = join(folder.path, 'mesh')
  await mkdir(mesh)
  const [xds, admin] = [await freePort(), await freePort()]
  const controlUrl = `http://127.0.0.1:${admin}`
  const startControl = async () => {
    const control = startWeft([
      ...['control', mesh, '--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${admin}`],
      ...['--state', join(folder.path, 'plane')],
    ])
    await control.saw('Control plane is up')
    return control
  }
  const shared = ['--control', `127.0.0.1:${xds}`, '--state', join(folder.path, 'state')]
  const control = await startControl()
  const startVersion = (version: string, says = version) =>
    startWeft([
      ...['run', ...shared, '--service', 'hello', '--version', version],
      ...['--port', '8000', '--app-port', '0', '--', node, '-e', serverCode(says)],
    ])
  const versions = ['v1', 'v2'].map((version) => startVersion(version))
  const caller = startWeft(['run', ...shared, '--', node, '-e', CALLER])
  const counts = (): Counts => {
    const line = caller
      .output()
      .trim()
      .split('\n')
      .findLast((text) => text.startsWith('{'))
    return line === undefined ? { ok: 0, failed: 0, seen: [] } : JSON.parse(line)
  }
  await eventually(counts, ({ ok, seen }) => ok > 20 && seen.length === 2, 20_000)
  return {
    mesh,
    controlUrl,
    control,
    startControl,
    startVersion,
    caller,
    counts,
    async [Symbol.asyncDispose]() {
      for (const one of [caller, ...versions]) await one[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

describe('a mesh under load', () => {
  test('loses no request while its control plane is killed and started again', async () => {
    await using mesh = await openMesh()
    const before = mesh.counts()
    mesh.control.process.kill('SIGKILL')
    await mesh.control.finished
    await eventually(mesh.counts, ({ ok }) => ok > before.ok + 200)
    await using control = await mesh.startControl()
    assert.equal(control.process.exitCode, null)
    const atRestart = mesh.counts()
    await eventually(mesh.counts, ({ ok }) => ok > atRestart.ok + 500)
    // The restarted one steers: a rule that is written now takes effect.
    await writeFile(join(mesh.mesh, 'only-v2.yaml'), onlyVersion('v2'))
    await eventually(mesh.counts, ({ seen }) => seen.length === 1 && seen[0] === 'v2 /')
    assert.equal(mesh.counts().failed - before.failed, 0, mesh.caller.output())
  })

  test('spreads calls over replicas of one workload', async () => {
    await using mesh = await openMesh()
    await using _control = mesh.control
    const before = mesh.counts()
    await using _replica = mesh.startVersion('v2', 'v2 again')
    await eventually(mesh.counts, ({ seen }) => seen.length === 3)
    assert.equal(mesh.counts().failed - before.failed, 0, mesh.caller.output())
  })

  test('keeps the last good rules when a file is broken, and says where and why', async () => {
    await using mesh = await openMesh()
    await using _control = mesh.control
    const file = join(mesh.mesh, 'hello.yaml')
    await writeFile(file, onlyVersion('v1'))
    await eventually(mesh.counts, ({ seen }) => seen.length === 1 && seen[0] === 'v1 /')
    const before = mesh.counts()

    await writeFile(file, onlyVersion('v2').replace('route:', 'rute:'))
    const status = () => runWeft(['status', '--control', mesh.controlUrl])
    const told = await eventually(status, ({ exitCode }) => exitCode === 1)
    assert.match(told.output, /hello\.yaml:\d+ .*did you mean "route"/)
    const later = mesh.counts()
    await eventually(mesh.counts, ({ ok }) => ok > later.ok + 100)
    assert.deepEqual(mesh.counts().seen, ['v1 /'])

    await writeFile(file, onlyVersion('v2'))
    await eventually(mesh.counts, ({ seen }) => seen.length === 1 && seen[0] === 'v2 /')
    assert.equal((await status()).exitCode, 0)
    await rm(file)
    await eventually(mesh.counts, ({ seen }) => seen.length === 2)
    assert.equal(mesh.counts().failed - before.failed, 0, mesh.caller.output())
  })
})

function onlyVersion(version: string): string {
  return `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: hello}
spec:
  host: hello
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hello}
spec:
  hosts: [hello]
  http:
    - route:
        - destination: {host: hello, subset: ${version}}
`
}

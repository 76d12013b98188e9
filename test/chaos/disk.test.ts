/** F23: the disk is full: of the control plane, and of a proxy's access log. */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, freePort, runWeft, startWeft, temporaryFolder } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { openSmallDisk } from './small-disk.ts'
import { adminText, openStage, report } from './stage.ts'

const SKIP = 'no right to mount a disk here'

function serviceEntry(name: string, notes = ''): string {
  return [
    ...['apiVersion: networking.istio.io/v1', 'kind: ServiceEntry'],
    ...[`metadata: {name: ${name}, namespace: default, annotations: {notes: "${notes}"}}`],
    ...['spec:', `  hosts: [${name}.example.com]`, '  location: MESH_INTERNAL'],
    ...['  resolution: STATIC', '  ports: [{number: 80, name: http, protocol: HTTP}]'],
    ...['  endpoints: [{address: 127.0.0.1}]', ''],
  ].join('\n')
}

/** Until not a byte more is taken. */
function fill(path: string): void {
  for (const size of [65_536, 4_096, 1]) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(size), { flag: 'a' })
    } catch {
      // Full for pieces of this size.
    }
  }
}

test('F23 a control plane on a full disk refuses writes and serves the rest', async (t) => {
  using disk = openSmallDisk('1m')
  if (disk === undefined) return t.skip(SKIP)
  await using folder = await temporaryFolder()
  const mesh = join(disk.path, 'mesh')
  mkdirSync(mesh)
  writeFileSync(join(mesh, 'first.yaml'), serviceEntry('first'))
  const [xds, admin] = [await freePort(), await freePort()]
  await using control = startWeft([
    ...['control', mesh, '--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${admin}`],
    ...['--state', join(disk.path, 'state')],
  ])
  await control.saw('Control plane is up')
  const filler = join(disk.path, 'filler')
  fill(filler)
  const file = join(folder.path, 'large.yaml')
  writeFileSync(file, serviceEntry('large', 'x'.repeat(20_000)))
  const apply = () => runWeft(['apply', '--control', `http://127.0.0.1:${admin}`, '-f', file])
  const refused = await apply()
  assert.notEqual(refused.exitCode, 0)
  assert.match(refused.output + refused.errors, /disk is full/)
  assert.deepEqual(readdirSync(mesh), ['first.yaml'])
  assert.equal(readFileSync(join(mesh, 'first.yaml'), 'utf8'), serviceEntry('first'))
  // Who comes now gets everything.
  const proxyAdmin = await freePort()
  await using proxy = startWeft([
    ...['proxy', '--name', 'late', '--control', `127.0.0.1:${xds}`, '--outbound', '127.0.0.1:0'],
    ...['--admin', `127.0.0.1:${proxyAdmin}`, '--state', join(folder.path, 'proxy')],
  ])
  await proxy.saw('It has its configuration')
  assert.match(await adminText(proxyAdmin, '/clusters'), /first\.example\.com/)
  rmSync(filler)
  const taken = await apply()
  assert.equal(taken.exitCode, 0, taken.errors)
  await eventually(
    () => adminText(proxyAdmin, '/clusters'),
    (text) => text.includes('large.example.com'),
  )
  assert.equal(control.process.exitCode, null)
  report(
    'F23',
    'control plane on a full disk: a write refused and named, no half file, a new proxy has its configuration; the same write is taken when there is room',
  )
})

test('F23 a full disk costs lines of the access log, which are counted, and no request', async (t) => {
  using disk = openSmallDisk('1m')
  if (disk === undefined) return t.skip(SKIP)
  const log = join(disk.path, 'access.log')
  await using stage = await openStage({ args: ['--access-log', log] })
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(200)
  const filler = join(disk.path, 'filler')
  fill(filler)
  const dropped = () => adminText(stage.admin, '/stats/prometheus').then(readDropped)
  const lost = await eventually(dropped, (count) => count > 0, 30_000)
  await client.answers(300)
  rmSync(filler)
  const size = () => readFileSync(log).length
  const before = size()
  await eventually(size, (now) => now > before, 30_000)
  const tally = await client.stop()
  report(
    'F23',
    `access log on a full disk: ${lost} lines dropped and counted when first asked; it goes on when there is room; ${renderTally(tally)}`,
  )
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

function readDropped(text: string): number {
  return Number(/^weft_access_log_dropped_total (\d+)$/m.exec(text)?.[1] ?? 0)
}

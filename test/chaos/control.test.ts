/** F8, F9, F11: the control plane goes, comes back twenty times; the configuration is wrong. */
import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, freePort, startWeft, temporaryFolder } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { adminText, LISTENER, listener, openStage, report, untilAccepts } from './stage.ts'

const RESTARTS = 20
const APP = fileURLToPath(new URL('app.ts', import.meta.url))

test('F8 F9 the control plane is killed and comes back twenty times', async () => {
  await using folder = await temporaryFolder()
  const mesh = join(folder.path, 'mesh')
  await mkdir(mesh)
  const [xds, admin, outbound, app] = [
    await freePort(),
    await freePort(),
    await freePort(),
    await freePort(),
  ]
  const startControl = async () => {
    const control = startWeft([
      ...['control', mesh, '--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${admin}`],
      ...['--state', join(folder.path, 'plane')],
    ])
    await control.saw('Control plane is up')
    return control
  }
  const shared = ['--control', `127.0.0.1:${xds}`, '--state', join(folder.path, 'state')]
  let control = await startControl()
  await using _app = startWeft([
    ...['run', ...shared, '--service', 'app', '--port', '9080', '--app-port', String(app)],
    ...['--', process.execPath, APP, String(app)],
  ])
  await using _caller = startWeft([
    ...['proxy', ...shared, '--name', 'caller', '--outbound', `127.0.0.1:${outbound}`],
    ...['--admin', '127.0.0.1:0'],
  ])
  await untilAccepts(app)
  const headers = { host: 'app:9080', 'x-id': 'first' }
  await eventually(
    () => answerOf(outbound, headers),
    (status) => status === 200,
    20_000,
  )
  await using client = startClient(outbound, { host: 'app:9080' })
  await client.answers(300)
  for (let i = 0; i < RESTARTS; i++) {
    control.process.kill('SIGKILL')
    await control.finished
    if (i === 0) await client.answers(1_000)
    control = await startControl()
    await client.answers(50)
  }
  await client.answers(500)
  const tally = await client.stop()
  await control[Symbol.asyncDispose]()
  report('F8 F9', `${RESTARTS} kills and starts of the control plane: ${renderTally(tally)}`)
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

async function answerOf(port: number, headers: Record<string, string>): Promise<number> {
  const { request } = await import('node:http')
  return new Promise((resolve) => {
    request({ host: '127.0.0.1', port, headers, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
      .on('error', () => resolve(0))
      .end()
  })
}

test('F11 a configuration that is wrong is refused, named, and harms nothing', async () => {
  await using stage = await openStage()
  await using client = startClient(stage.port)
  await client.answers(300)
  const badRegex = JSON.parse(
    JSON.stringify(listener('stage', stage.port)).replace(
      '"prefix":"/"',
      '"safe_regex":{"regex":"("}',
    ),
  )
  const second = await freePort()
  const startedMs = performance.now()
  stage.writeResources('listeners.json', LISTENER, [badRegex, listener('second', second)])
  const told = await eventually(
    async () => JSON.parse(await adminText(stage.admin, '/server_info')).weft.rejected_resources,
    (rejected) => rejected.length > 0,
    5_000,
  )
  const toldMs = performance.now() - startedMs
  // What came with it and is right is in force.
  await using other = startClient(second, { connections: 2 })
  await other.answers(20)
  await client.answers(300)
  stage.writeResources('listeners.json', LISTENER, [
    listener('stage', stage.port),
    listener('second', second),
  ])
  await client.answers(300)
  const tally = await client.stop()
  report(
    'F11',
    `refusal shown after ${toldMs.toFixed(0)} ms (${told[0].problem}): ${renderTally(tally)}`,
  )
  assert.equal(told[0].name, 'stage')
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

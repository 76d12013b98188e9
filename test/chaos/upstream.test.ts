/** F1, F2, F3: an application dies, dies in the middle of an answer, says nothing any more. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { test } from 'node:test'
import { eventually } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { adminText, CLUSTER, cluster, openStage, report } from './stage.ts'

const KILLS = 5

test('F1 one of two applications is killed again and again', async () => {
  await using stage = await openStage()
  await using client = startClient(stage.port)
  let [victim] = stage.apps
  for (let i = 0; i < KILLS; i++) {
    await client.answers(300)
    assert.ok(victim)
    victim.process.kill('SIGKILL')
    await once(victim.process, 'exit')
    await client.answers(300)
    victim = await stage.startApp(victim.port)
  }
  const tally = await client.stop()
  const posts = stage.posts()
  const twice = posts.length - new Set(posts).size
  report('F1', `${KILLS} kills: ${renderTally(tally)}; ${posts.length} POSTs taken, ${twice} twice`)
  assert.deepEqual([tally.lost, tally.refused, tally.wrong, twice], [0, 0, 0, 0])
})

test('F2 an answer that breaks off never looks complete', async () => {
  await using stage = await openStage()
  const ends: boolean[] = []
  for (const _app of stage.apps.slice()) ends.push(await looksComplete(stage.port))
  report('F2', `${ends.length} answers broke off, ${ends.filter(Boolean).length} looked complete`)
  assert.deepEqual(ends, [false, false])
})

function looksComplete(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ host: '127.0.0.1', port, path: '/half', agent: false }, (response) => {
      response.resume()
      response.on('error', () => undefined)
      response.once('close', () => resolve(response.complete && response.statusCode === 200))
    })
    call.once('error', () => resolve(false))
    call.end()
  })
}

test('F3 an application that says nothing any more is passed over', async () => {
  await using stage = await openStage()
  const outlier_detection = { consecutive_5xx: 3, base_ejection_time: '60s', interval: '1s' }
  stage.writeResources('clusters.json', CLUSTER, [
    cluster(
      stage.apps.map(({ port }) => port),
      { outlier_detection: { ...outlier_detection, max_ejection_percent: 50 } },
    ),
  ])
  await using client = startClient(stage.port)
  await client.answers(300)
  const [stopped] = stage.apps
  assert.ok(stopped)
  stopped.process.kill('SIGSTOP')
  const startedMs = performance.now()
  await eventually(
    () => adminText(stage.admin, '/clusters'),
    (text) => text.includes('failed_outlier_check'),
  )
  const ejectedMs = performance.now() - startedMs
  const before = performance.now()
  await client.answers(2_000)
  const tookMs = performance.now() - before
  stopped.process.kill('SIGCONT')
  const tally = await client.stop()
  report(
    'F3',
    `ejected after ${ejectedMs.toFixed(0)} ms, then 2000 answers in ${tookMs.toFixed(0)} ms: ${renderTally(tally)}`,
  )
  assert.deepEqual([tally.lost, tally.refused, tally.wrong], [0, 0, 0])
})

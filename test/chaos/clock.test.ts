/** F27: the machine's clock is set an hour forth and back while requests run. */
import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually, temporaryFolder } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { openStage, report } from './stage.ts'

const FAKETIME = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
].find((path) => existsSync(path))

test('F27 a clock that jumps ends no request and no connection, and is told of', async (t) => {
  if (FAKETIME === undefined) return t.skip('libfaketime is not installed')
  await using folder = await temporaryFolder()
  const offset = join(folder.path, 'offset')
  const set = (to: string) => writeFileSync(offset, `${to}\n`)
  set('+0')
  await using stage = await openStage({
    perTryTimeout: '60s',
    before: [
      `export LD_PRELOAD='${FAKETIME}' FAKETIME_TIMESTAMP_FILE='${offset}'`,
      'export FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1',
    ],
    manager: { common_http_protocol_options: { idle_timeout: '60s' }, stream_idle_timeout: '60s' },
  })
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(300)
  // In the middle of a body all the time: timeouts of an hour ago, or in an hour, would end it.
  const slow = openUpload(stage.port)
  for (const to of ['+1h', '-1h', '+5m', '-5m', '+0']) {
    set(to)
    await eventually(
      () => dateOf(stage.admin),
      (atMs) => Math.abs(atMs - Date.now() - offsetMs(to)) < 60_000,
    )
    await client.answers(200)
    assert.equal(slow.isOver(), false, to)
  }
  const jumps = () => [...stage.proxy.errors().matchAll(/clock of this machine was set/g)].length
  await eventually(jumps, (count) => count >= 3)
  assert.equal(await slow.finish(), 200)
  const tally = await client.stop()
  report(
    'F27',
    `clock set by ±1 h and ±5 min (libfaketime), ${jumps()} jumps logged, an upload goes on through all: ${renderTally(tally)}`,
  )
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

function offsetMs(text: string): number {
  const [, number = '0', unit = ''] = /^([+-]\d+)([hm]?)$/.exec(text) ?? []
  return Number(number) * (unit === 'h' ? 3_600_000 : unit === 'm' ? 60_000 : 1_000)
}

/** What the proxy's clock says, by an answer of its own. */
async function dateOf(port: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${port}/ready`)
  await answer.arrayBuffer()
  return Date.parse(answer.headers.get('date') ?? '')
}

function openUpload(port: number) {
  let isOver = false
  const call = request({ port, host: '127.0.0.1', method: 'POST', headers: { host: 'app' } })
  const answered = new Promise<number>((resolve) => {
    call.once('response', (response) => {
      isOver = true
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    call.once('error', () => {
      isOver = true
      resolve(0)
    })
  })
  call.write('half')
  return {
    isOver: () => isOver,
    finish() {
      call.end('whole')
      return answered
    },
  }
}

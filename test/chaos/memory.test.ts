/** F22: memory runs out: large answers that nobody reads. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import {
  type Attacker,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  number,
  openAttacker,
  streamIds,
} from './http2-attacker.ts'
import { openMemoryGroup } from './memory-group.ts'
import { residentMb } from './process-memory.ts'
import { adminText, openStage, report } from './stage.ts'

const LIMIT_BYTES = 256 * 1_048_576
const CLIENTS = 400
const STREAMS = 20
/** :method GET, :scheme http, :path /big, :authority a */
const GET_BIG = Buffer.from('828604042f626967410161', 'hex')
const GET_FLAGS = END_HEADERS | END_STREAM
const LIMIT_MS = 60_000

test('F22 memory runs out: what is refused and ended keeps the process alive, and it recovers', async () => {
  using group = openMemoryGroup(`weft-chaos-${process.pid}`, LIMIT_BYTES)
  await using stage = await openStage({
    concurrency: 1,
    memory: { bytes: LIMIT_BYTES, group },
    perTryTimeout: '60s',
  })
  const baseMb = residentMb(stage.proxy.process)
  const seen = new Map<string, number>()
  let asked = 0
  let slowestMs = 0
  const look = async () => {
    const fromMs = performance.now()
    const text = await adminText(stage.admin, '/stats?filter=overload')
    slowestMs = Math.max(slowestMs, performance.now() - fromMs)
    asked++
    for (const [, name, value] of text.matchAll(/^(\S+): (\d+)$/gm)) {
      if (name !== undefined) seen.set(name, Math.max(seen.get(name) ?? 0, Number(value)))
    }
    return text
  }
  const greedy: Attacker[] = []
  for (let i = 0; i < CLIENTS; i++) {
    // Windows as large as they get, and not a byte of what comes is read.
    const one = await openAttacker(stage.port, { window: 0x7fff_ffff, reads: false })
    greedy.push(one)
    await one.send([
      frame(FRAME.windowUpdate, 0, 0, number(0x4000_0000)),
      ...[...streamIds(STREAMS)].map((id) => frame(FRAME.headers, GET_FLAGS, id, GET_BIG)),
    ])
    if (i % 10 === 9) await look()
  }
  for (let i = 0; i < 100; i++) {
    await look()
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  const mostMb = residentMb(stage.proxy.process)
  const ended = greedy.filter(({ isClosed }) => isClosed).length
  for (const one of greedy) one.end()
  const refusing = 'overload.envoy.overload_actions.stop_accepting_requests.scale_percent'
  await eventually(look, (text) => text.includes(`${refusing}: 0\n`), LIMIT_MS)
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(300)
  const tally = await client.stop()
  const peak = (name: string) => seen.get(`overload.envoy.${name}`) ?? 0
  const count = (name: string) => seen.get(`weft_overload_${name}`) ?? 0
  report(
    'F22',
    [
      `${group === undefined ? 'own limit of' : 'cgroup of'} 256 MB, ${CLIENTS} clients with ${STREAMS} answers of 2 MB each that they do not read`,
      `${baseMb.toFixed(0)} to ${mostMb.toFixed(0)} MB resident, most pressure ${peak('resource_monitors.cgroup_memory.pressure')} %`,
      `${count('requests_refused')} requests refused with 503, ${count('connections_refused')} connections refused, ${count('streams_reset')} of the heaviest ended (${ended} of ${CLIENTS} clients)`,
      `${group?.kills ?? 0} kills; admin answered ${asked} times, at most ${slowestMs.toFixed(0)} ms`,
      `afterwards: ${renderTally(tally)}`,
    ].join('; '),
  )
  assert.equal(stage.proxy.process.exitCode, null)
  assert.equal(group?.kills ?? 0, 0)
  for (const action of ['reduce_timeouts', 'disable_http_keepalive', 'stop_accepting_requests']) {
    assert.equal(peak(`overload_actions.${action}.active`), 1, action)
  }
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

/** F4, F19, F20, F26: clients that are silent, that never take an answer, that rest, and bytes that are no request. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { eventually } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { END_HEADERS, END_STREAM, FRAME, frame, openAttacker, streamIds } from './http2-attacker.ts'
import { openFiles, residentMb, watchMemory } from './process-memory.ts'
import { adminText, openStage, report, type Stage } from './stage.ts'

/** Far beyond every timeout that is tested here: a busy machine is slow, not wrong. */
const LIMIT_MS = 60_000
const HEAD = 'GET / HTTP/1.1\r\nHost: app\r\nx-id: once\r\n'

test('F4 clients that say nothing any more, and never say good-bye, are let go', async () => {
  const [atOnce, idle] = [1_000, { idle_timeout: '2s' }]
  await using stage = await openStage({
    manager: { common_http_protocol_options: idle, stream_idle_timeout: '2s' },
  })
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(300)
  const base = openFiles(stage.proxy.process)
  // After an answer, within a head, within a body.
  const silent = await openAll(stage.port, atOnce, (i) =>
    i % 3 === 0
      ? `${HEAD}\r\n`
      : i % 3 === 1
        ? HEAD
        : `POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 100\r\n\r\nhalf`,
  )
  const held = openFiles(stage.proxy.process) - base
  const left = await eventually(
    () => openFiles(stage.proxy.process) - base,
    (more) => more <= 40,
    LIMIT_MS,
  )
  const ended = silent.filter(({ destroyed }) => destroyed).length
  for (const socket of silent) socket.destroy()
  const tally = await client.stop()
  report(
    'F4',
    `${atOnce} silent clients (${held} descriptors held), ${ended} closed by themselves; ${left} descriptors more afterwards; others: ${renderTally(tally)}`,
  )
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

test('F19 answers that nobody takes cost a window each, until their time is over', async () => {
  const [attackers, streams, maxGrowthMb] = [4, 25, 64]
  await using stage = await openStage({
    perTryTimeout: '10s',
    manager: { stream_idle_timeout: '6s' },
  })
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(500)
  const memory = watchMemory(stage.proxy.process)
  const greedy = await Promise.all(
    Array.from({ length: attackers }, (_, i) => openAttacker(stage.port, { window: i % 2 })),
  )
  // :method GET, :scheme http, :path /big, :authority a
  const request = Buffer.concat([
    Buffer.from('8286', 'hex'),
    Buffer.from('04042f626967', 'hex'),
    Buffer.from('410161', 'hex'),
  ])
  const flags = END_HEADERS | END_STREAM
  for (const one of greedy) {
    await one.send([...streamIds(streams)].map((id) => frame(FRAME.headers, flags, id, request)))
  }
  const reached = await eventually(
    () => underWay(stage),
    (active) => active >= attackers * streams,
    LIMIT_MS,
  )
  const left = await eventually(
    () => underWay(stage),
    (active) => active <= 8,
    LIMIT_MS,
  )
  const grownMb = memory.stop()
  await client.answers(100)
  for (const one of greedy) one.end()
  const tally = await client.stop()
  report(
    'F19',
    `${reached} answers of 2 MB asked for and not taken, ${grownMb.toFixed(0)} MB grown, ${left} left after their time; others: ${renderTally(tally)}`,
  )
  assert.ok(grownMb <= maxGrowthMb, `${grownMb} MB`)
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

/** Requests that the endpoints have not finished. */
async function underWay({ admin }: Stage): Promise<number> {
  const text = await adminText(admin, '/clusters')
  return [...text.matchAll(/::rq_active::(\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )
}

test('F20 connections that rest cost little', async () => {
  const [http1, http2] = [2_000, 500]
  await using stage = await openStage()
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(1_000)
  const { process: proxy } = stage.proxy
  const before = residentMb(proxy)
  const resting = await openAll(stage.port, http1, () => `${HEAD}\r\n`)
  const each1 = ((residentMb(proxy) - before) * 1_024) / http1
  const between = residentMb(proxy)
  const sessions = []
  for (let i = 0; i < http2; i++) sessions.push(await openAttacker(stage.port))
  await client.answers(200)
  const each2 = ((residentMb(proxy) - between) * 1_024) / http2
  const open = resting.filter(({ destroyed }) => !destroyed).length
  for (const socket of resting) socket.destroy()
  for (const session of sessions) session.end()
  const tally = await client.stop()
  report(
    'F20',
    `${http1} of HTTP/1.1 at ${each1.toFixed(1)} KB, ${http2} of HTTP/2 at ${each2.toFixed(1)} KB; others: ${renderTally(tally)}`,
  )
  assert.equal(open, http1)
  assert.ok(each1 <= 40 && each2 <= 80)
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

test('F26 no bytes end the process: the corpus of HTTP/1.1, whole and damaged', async () => {
  const seed = 26
  const random = seededRandom(seed)
  await using stage = await openStage({ perTryTimeout: '10s' })
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(300)
  const corpus = new URL('../http1/cases.json', import.meta.url)
  const { requests } = JSON.parse(readFileSync(corpus, 'utf8')) as { requests: { raw: Raw }[] }
  const poison = requests.flatMap(({ raw }) => {
    const whole = bytesOf(raw)
    return [whole, ...Array.from({ length: 4 }, () => damaged(whole, random))]
  })
  const pid = stage.proxy.process.pid
  for (let i = 0; i < poison.length; i += 50) {
    const sockets = await openAll(stage.port, Math.min(50, poison.length - i), (k) => poison[i + k])
    await client.answers(10)
    for (const socket of sockets) socket.destroy()
  }
  const tally = await client.stop()
  const about = JSON.parse(await adminText(stage.admin, '/server_info'))
  report(
    'F26',
    `${poison.length} requests (seed ${seed}), one process; others: ${renderTally(tally)}`,
  )
  assert.equal(about.weft.pid, pid)
  assert.doesNotMatch(stage.proxy.errors(), /uncaught/)
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
})

type Raw = string | readonly Raw[] | { readonly rep: string; readonly n: number }

/** As the corpus says it: code units are bytes, an object repeats. */
function bytesOf(raw: Raw): Buffer {
  if (typeof raw === 'string') return Buffer.from(raw, 'latin1')
  return 'rep' in raw
    ? Buffer.from(raw.rep.repeat(raw.n), 'latin1')
    : Buffer.concat(raw.map(bytesOf))
}

/** Some bytes are others now, and perhaps the end is missing. */
function damaged(whole: Buffer, random: () => number): Buffer {
  const bytes = Buffer.from(whole)
  for (let i = 0; i < 3; i++) {
    bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
  }
  return random() < 0.3 ? bytes.subarray(0, Math.floor(random() * bytes.length)) : bytes
}

/** Connections that each have sent something, neither read on nor end when the other side does. */
async function openAll(
  port: number,
  count: number,
  first: (i: number) => string | Buffer | undefined,
): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let i = 0; i < count; i++) {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    sockets.push(socket)
    socket.on('error', () => undefined)
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve())
      socket.write(first(i) ?? '', () => resolve())
    })
  }
  return sockets
}

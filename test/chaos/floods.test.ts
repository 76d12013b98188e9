/**
 * F14 to F18: a client of HTTP/2 that sends what is legal once, ten thousand times. The
 * proxy ends its connection and counts it, stays small, and nobody else notices.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Client, renderTally, startClient } from './checking-client.ts'
import {
  type Attacker,
  type AttackOptions,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  number,
  openAttacker,
  REQUEST,
  streamIds,
} from './http2-attacker.ts'
import { watchMemory } from './process-memory.ts'
import { adminText, openStage, report, type Stage } from './stage.ts'

const MB = 1_048_576
const ATTACKERS = 8
const FRAMES = 10_000
/** The heap of the proxy grows and shrinks by as much without any attack. */
const MAX_GROWTH_MB = 96
const WHOLE = END_HEADERS | END_STREAM
const CANCEL = number(8)

interface Flood {
  readonly row: string
  readonly name: string
  /** One of them is counted at least once for each attacker. */
  readonly counters: readonly string[]
  readonly frames: () => Iterable<Buffer>
  readonly options?: AttackOptions
}

function* each(make: (id: number) => readonly Buffer[]): Generator<Buffer> {
  for (const id of streamIds(FRAMES)) yield* make(id)
}

const floods: readonly Flood[] = [
  {
    row: 'F14',
    name: 'rapid reset',
    counters: ['too_many_premature_resets'],
    frames: () =>
      each((id) => [
        frame(FRAME.headers, WHOLE, id, REQUEST),
        frame(FRAME.rstStream, 0, id, CANCEL),
      ]),
  },
  {
    row: 'F15',
    name: 'made to reset by empty window updates',
    counters: ['too_many_premature_resets', 'too_many_glitches'],
    frames: () =>
      each((id) => [
        frame(FRAME.headers, WHOLE, id, REQUEST),
        frame(FRAME.windowUpdate, 0, id, number(0)),
      ]),
  },
  {
    row: 'F15',
    name: 'made to reset by DATA after the end',
    counters: ['too_many_premature_resets', 'too_many_glitches'],
    frames: () =>
      each((id) => [
        frame(FRAME.headers, WHOLE, id, REQUEST),
        frame(FRAME.data, 0, id, Buffer.from('late')),
      ]),
  },
  {
    row: 'F15',
    name: 'made to reset by a stream that depends on itself',
    counters: ['too_many_premature_resets', 'too_many_glitches', 'inbound_priority_frames_flood'],
    frames: () =>
      each((id) => [
        frame(FRAME.headers, WHOLE, id, REQUEST),
        frame(FRAME.priority, 0, id, Buffer.concat([number(id), Buffer.from([0])])),
      ]),
  },
  {
    row: 'F16',
    name: 'CONTINUATION of one byte each',
    counters: ['inbound_continuation_frames_flood'],
    frames: function* () {
      yield frame(FRAME.headers, 0, 1, REQUEST)
      for (let i = 0; i < FRAMES; i++) yield frame(FRAME.continuation, 0, 1, Buffer.from([0x84]))
    },
  },
  {
    row: 'F16',
    name: 'CONTINUATION of 16 KB each',
    counters: ['header_overflow', 'inbound_continuation_frames_flood'],
    frames: function* () {
      yield frame(FRAME.headers, 0, 1, REQUEST)
      for (let i = 0; i < 1_000; i++) yield frame(FRAME.continuation, 0, 1, Buffer.alloc(16_384))
    },
  },
  {
    row: 'F18',
    name: 'SETTINGS',
    counters: ['inbound_control_frames_flood', 'outbound_control_flood'],
    frames: () => each(() => [frame(FRAME.settings, 0, 0)]),
  },
  {
    row: 'F18',
    name: 'PING',
    counters: ['inbound_control_frames_flood', 'outbound_control_flood'],
    frames: () => each(() => [frame(FRAME.ping, 0, 0, Buffer.alloc(8))]),
  },
  {
    row: 'F18',
    name: 'PING whose answers nobody reads',
    counters: ['inbound_control_frames_flood', 'outbound_control_flood'],
    frames: () => each(() => [frame(FRAME.ping, 0, 0, Buffer.alloc(8))]),
    options: { reads: false },
  },
  {
    row: 'F18',
    name: 'empty DATA',
    counters: ['inbound_empty_frames_flood'],
    frames: function* () {
      yield frame(FRAME.headers, END_HEADERS, 1, REQUEST)
      for (let i = 0; i < FRAMES; i++) yield frame(FRAME.data, 0, 1)
    },
  },
  {
    row: 'F18',
    name: 'PRIORITY',
    counters: ['inbound_priority_frames_flood'],
    frames: () => each((id) => [frame(FRAME.priority, 0, id, Buffer.alloc(5))]),
  },
  {
    row: 'F18',
    name: 'WINDOW_UPDATE',
    counters: ['inbound_window_update_frames_flood'],
    frames: () => each(() => [frame(FRAME.windowUpdate, 0, 0, number(1))]),
  },
]

/** 4,000 bytes into the table, then 12,000 times one byte that means them. */
function bomb(): Buffer {
  // 0x7f 0xa1 0x1e: 127 + 33 + 30 * 128 = 4,000.
  const entry = Buffer.concat([Buffer.from('40017a7fa11e', 'hex'), Buffer.alloc(4_000, 0x61)])
  return Buffer.concat([REQUEST, entry, Buffer.alloc(12_000, 0xbe)])
}

let stage: Stage
let client: Client

before(async () => {
  // An attack may take the machine's processors for a while; that costs time, not answers.
  stage = await openStage({ perTryTimeout: '10s' })
  client = startClient(stage.port, { connections: 8 })
  await client.answers(1_000)
})

after(async () => {
  await client?.[Symbol.asyncDispose]()
  await stage?.[Symbol.asyncDispose]()
})

for (const { row, name, counters, frames, options } of floods) {
  test(`${row} ${name}: the connection ends, and nobody else notices`, async () => {
    const counted = await countersOf(stage, counters)
    const memory = watchMemory(stage.proxy.process)
    const attackers = await Promise.all(
      Array.from({ length: ATTACKERS }, () => openAttacker(stage.port, options)),
    )
    await Promise.all(attackers.map((attacker) => attacker.send(frames())))
    const ends = await Promise.all(attackers.map((attacker) => attacker.ended()))
    const grownMb = memory.stop()
    await undisturbed(`${row} ${name}`, attackers, grownMb)
    assert.deepEqual(new Set(ends), new Set([true]))
    assert.ok((await countersOf(stage, counters)) - counted >= ATTACKERS, counters.join(', '))
  })
}

test('F17 a reference bomb behind a closed window ends its connection before it is laid out', async () => {
  const counted = await countersOf(stage, ['header_overflow'])
  const memory = watchMemory(stage.proxy.process)
  const attackers = await Promise.all(
    Array.from({ length: ATTACKERS }, () => openAttacker(stage.port, { window: 0 })),
  )
  const content = bomb()
  const streams = [...streamIds(100)]
  await Promise.all(
    attackers.map((attacker) =>
      attacker.send(streams.map((id) => frame(FRAME.headers, WHOLE, id, content))),
    ),
  )
  const ends = await Promise.all(attackers.map((attacker) => attacker.ended()))
  const grownMb = memory.stop()
  await undisturbed('F17 reference bomb', attackers, grownMb)
  const sent = attackers.reduce((sum, { sentBytes }) => sum + sentBytes, 0)
  for (const attacker of attackers) attacker.end()
  assert.deepEqual(new Set(ends), new Set([true]))
  assert.ok((await countersOf(stage, ['header_overflow'])) - counted >= ATTACKERS)
  assert.ok(grownMb <= (20 * sent) / MB, `${grownMb} MB for ${sent} bytes`)
})

/** The application is answered as ever, the proxy has not grown, and says nothing of an error. */
async function undisturbed(row: string, attackers: readonly Attacker[], grownMb: number) {
  await client.answers(200)
  const { tally } = client
  const sentMb = attackers.reduce((sum, { sentBytes }) => sum + sentBytes, 0) / MB
  const goaways = attackers.filter(({ goaway }) => goaway !== undefined).length
  const ended = attackers.filter(({ isClosed }) => isClosed).length
  report(
    row,
    `${ATTACKERS} connections, ${sentMb.toFixed(1)} MB taken, ${ended} ended (${goaways} saw GOAWAY), ${grownMb.toFixed(0)} MB grown; others: ${renderTally(tally)}`,
  )
  assert.deepEqual([tally.lost, tally.refused, tally.refusedPosts, tally.wrong], [0, 0, 0, 0])
  assert.ok(grownMb <= MAX_GROWTH_MB, `grown by ${grownMb} MB`)
  assert.doesNotMatch(stage.proxy.errors(), /uncaught/)
}

async function countersOf({ admin }: Stage, names: readonly string[]): Promise<number> {
  const text = await adminText(admin, '/stats/prometheus')
  return names.reduce((sum, name) => {
    const found = new RegExp(`^envoy_http2_${name}(?:_total)?(?:\\{\\})? (\\d+)$`, 'm').exec(text)
    return sum + Number(found?.[1] ?? 0)
  }, 0)
}

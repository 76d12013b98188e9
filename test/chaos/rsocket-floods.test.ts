/** Hostile peers and consumers that stall, against a broker in a process of its own: it stays small, and others notice nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { connect, type Methods } from '@weft/rsocket'
import { seededRandom } from '@weft/testkit'
import {
  FRAME_FLAG,
  FRAME_TYPE,
  renderKeepalive,
  renderMetadataPush,
  renderSetup,
} from '@weft/wire'
import { setupOf } from '../../packages/broker/src/broker-fixture.ts'
import {
  body,
  plainSetup,
  RawPeer,
  rawFrame,
  routeTo,
} from '../../packages/broker/src/raw-fixture.ts'
import { eventually } from '../e2e/weft.ts'
import { residentMb, watchMemory } from './process-memory.ts'
import { broken, Executions, renderTally, startLoad } from './rsocket-load.ts'
import { openBroker } from './rsocket-stage.ts'
import { report } from './stage.ts'

const ATTACKERS = 8
const LONGEST_FRAME_MB = 15
const STALLED = 8
/** The heap of a broker grows and shrinks by as much without any attack. */
const MAX_GROWTH_MB = 128
/** What waits for a peer before it is not read for any more, and as much again. */
const MAX_STALL_MB = 2 * STALLED + 16
/** As the issue has it. */
const MAX_RESIDENT_MB = 100
const { metadata: M, follows: F, next: N } = FRAME_FLAG
const MB = 1_048_576

type Attack = (peer: RawPeer, random: () => number) => Promise<void> | void

/** How a peer is hostile; all of them are let in first, but for those who must not be. */
const ATTACKS: readonly (readonly [name: string, attack: Attack])[] = [
  ['random bytes', (peer, random) => peer.send(bytes(random, 4_096))],
  [
    'random frames',
    (peer, random) => {
      peer.send(renderSetup(plainSetup()))
      for (let i = 0; i < 200; i++) {
        const type = int(random, 64)
        peer.frame(int(random, 9), type, int(random, 0x400), bytes(random, int(random, 60)))
      }
    },
  ],
  [
    'a length of 16 MB, and a trickle',
    async (peer) => {
      peer.send(renderSetup(plainSetup()))
      peer.send(Buffer.from([0xff, 0xff, 0xff]), Buffer.alloc(10))
      for (let i = 0; i < 20 && !peer.closed; i++) {
        peer.send(Buffer.alloc(10))
        await setTimeout(20)
      }
    },
  ],
  [
    'a first frame of 16 MB',
    (peer) => {
      peer.send(Buffer.from([0xff, 0xff, 0xff]))
      for (let i = 0; i < 15; i++) peer.send(Buffer.alloc(MB))
    },
  ],
  [
    'fragments that add nothing',
    (peer) => {
      peer.send(renderSetup(plainSetup()))
      const head = body({ metadata: routeTo('chaos.A.run').subarray(0, 4) })
      const nothing = rawFrame(0, 0, 0, Buffer.alloc(0))
      for (let id = 1; id < 400; id += 2) {
        peer.frame(id, FRAME_TYPE.requestResponse, M | F, head)
        const part = rawFrame(
          id,
          FRAME_TYPE.payload,
          M | F,
          body({ metadata: nothing.subarray(0, 0) }),
        )
        peer.send(...Array.from({ length: 100 }, () => part))
      }
    },
  ],
  [
    'metadata without end',
    (peer) => {
      peer.send(renderSetup(plainSetup()))
      const part = body({ metadata: Buffer.alloc(16_384) })
      for (let id = 1; id < 200; id += 2) {
        peer.frame(id, FRAME_TYPE.requestResponse, M | F, part)
        for (let i = 0; i < 6; i++) peer.frame(id, FRAME_TYPE.payload, M | F, part)
      }
    },
  ],
  [
    'keepalives whose answers nobody reads',
    (peer) => {
      peer.send(renderSetup(plainSetup()))
      peer.socket.pause()
      const keepalive = renderKeepalive(true, 0, Buffer.alloc(10_000))
      for (let i = 0; i < 20; i++) peer.send(...Array.from({ length: 100 }, () => keepalive))
    },
  ],
  [
    'METADATA_PUSH without end',
    (peer) => {
      peer.send(renderSetup(plainSetup()))
      const push = renderMetadataPush(routeTo('chaos.A.run'))
      for (let i = 0; i < 20; i++) peer.send(...Array.from({ length: 100 }, () => push))
    },
  ],
  [
    'requests without end, cancelled at once',
    (peer) => {
      peer.send(renderSetup(plainSetup()))
      const request = body({ metadata: routeTo('chaos.Victim.run'), data: 'chaos.Victim attack-0' })
      for (let id = 1; id < 10_000; id += 2) {
        peer.frame(id, FRAME_TYPE.requestResponse, M, request)
        peer.frame(id, FRAME_TYPE.cancel, 0)
      }
    },
  ],
  [
    'half a frame, and gone',
    (peer) => {
      peer.send(renderSetup(plainSetup()))
      peer.send(rawFrame(1, FRAME_TYPE.requestResponse, M, Buffer.alloc(200)).subarray(0, 90))
      peer.close()
    },
  ],
]

/** Legal until it is whole: a peer that was let in may make a broker hold one frame. */
const LONGEST_FRAMES: Attack = (peer) => {
  peer.send(renderSetup(plainSetup()))
  peer.frame(77, FRAME_TYPE.payload, N, Buffer.alloc(LONGEST_FRAME_MB * MB))
  peer.send(Buffer.from([0xff, 0xff, 0xff]), Buffer.alloc((LONGEST_FRAME_MB - 1) * MB))
}

test('F31 hostile frames of every kind: the broker stays up and small, and others lose nothing', async () => {
  await using broker = await openBroker()
  await using stack = new AsyncDisposableStack()
  const brokers = [`tcp://127.0.0.1:${broker.port}`]
  const executions = new Executions()
  const join = async (app: string, services: Readonly<Record<string, Methods>>) => {
    // The attackers are in this process, too: how late its event loop is says nothing of the broker.
    const client = await connect({ brokers, app, services, lease: false })
    stack.defer(() => client.close(0))
    return client
  }
  await join('responder', { 'chaos.A': executions.methods('chaos.A', 'responder') })
  await join('victim', { 'chaos.Victim': { run: () => 'attacked' } })
  const caller = await join('caller', {})
  await using load = startLoad({ callers: [caller], services: ['chaos.A'], perSecond: 200 })
  await load.answers(200)
  const { process } = broker.running
  const random = seededRandom(31)
  let sent = 0
  const wage = async (name: string, attack: Attack): Promise<void> => {
    const peers = await Promise.all(
      Array.from({ length: ATTACKERS }, () => RawPeer.dial(broker.port)),
    )
    await Promise.all(peers.map((peer) => attack(peer, random)))
    await load.answers(50).catch((cause: unknown) => {
      throw new Error(`others stand still: ${name}`, { cause })
    })
    sent += peers.reduce((sum, { socket }) => sum + socket.bytesWritten - socket.writableLength, 0)
    for (const peer of peers) peer.close()
  }
  const memory = watchMemory(process)
  for (const [name, attack] of ATTACKS) await wage(name, attack)
  const grownMb = memory.stop()
  const largeMemory = watchMemory(process)
  await wage('the longest frames', LONGEST_FRAMES)
  const largeMb = largeMemory.stop()
  // Responder, victim, caller, and nobody else.
  await eventually(
    () => connectionsAt(broker.admin),
    (count) => count === 3,
  )
  await load.answers(100)
  const tally = await load.stop()
  report(
    'F31 hostile frames',
    `${ATTACKS.length + 1} kinds, ${ATTACKERS} peers each, ${(sent / MB).toFixed(0)} MB received: ${grownMb.toFixed(0)} MB grown, ${largeMb.toFixed(0)} for frames of ${LONGEST_FRAME_MB} MB; others ${renderTally(tally)}`,
  )
  assert.equal(process.exitCode, null)
  assert.ok(grownMb < MAX_GROWTH_MB, `${grownMb} MB grown`)
  // A frame for each peer, the buffer that it grew out of, and what was not collected yet.
  assert.ok(largeMb < ATTACKERS * LONGEST_FRAME_MB * 3, `${largeMb} MB grown`)
  assert.deepEqual(broken(tally, executions), [])
  assert.deepEqual(
    tally.failures.map(({ error }) => error.message),
    [],
  )
})

test('F31 consumers that ask for everything and read nothing: the broker stays small, others keep their pace', async () => {
  await using broker = await openBroker()
  await using stack = new AsyncDisposableStack()
  const brokers = [`tcp://127.0.0.1:${broker.port}`]
  const item = Buffer.alloc(4_096, 'i')
  const open = async (app: string, service?: string) => {
    const methods = {
      async *all() {
        for (;;) yield item
      },
      async *ticks() {
        for (let i = 0; ; i++) yield String(i)
      },
    }
    const services = service === undefined ? {} : { services: { [service]: methods } }
    const client = await connect({ brokers, app, ...services })
    stack.defer(() => client.close(0))
    return client
  }
  await open('big', 's.Big')
  await open('fast', 's.Fast')
  const caller = await open('caller')
  let items = 0
  let wrong = 0
  const consuming = (async () => {
    let expected = 0
    for await (const each of caller.requestStream('s.Fast', 'ticks')) {
      if (each.text() !== String(expected++)) wrong++
      items++
      if (items % 500 === 0) await setTimeout(5)
    }
  })().catch(() => undefined)
  const pace = async (ms: number): Promise<number> => {
    const [from, fromMs] = [items, performance.now()]
    await setTimeout(ms)
    return ((items - from) * 1_000) / (performance.now() - fromMs)
  }
  await eventually(
    () => items,
    (count) => count > 5_000,
  )
  const { process } = broker.running
  const alone = await pace(2_000)
  const before = residentMb(process)
  const memory = watchMemory(process)
  const stalled = await Promise.all(
    Array.from({ length: STALLED }, async (_, i) => {
      const peer = await RawPeer.dial(broker.port)
      peer.send(renderSetup(setupOf({ instance: `stalled${i}` })))
      await peer.settled()
      peer.socket.pause()
      const request = body({ n: 0x7fff_ffff, metadata: routeTo('s.Big.all') })
      peer.frame(1, FRAME_TYPE.requestStream, M, request)
      return peer
    }),
  )
  await setTimeout(1_000)
  const early = residentMb(process)
  const beside = await pace(4_000)
  const grownMb = memory.stop()
  const late = residentMb(process)
  for (const peer of stalled) peer.close()
  const from = items
  await eventually(
    () => items - from,
    (more) => more > 5_000,
  )
  await caller.close(0)
  await consuming
  report(
    'F31 stalled consumers',
    `${STALLED} streams of 4 KB items that nobody reads: broker ${before.toFixed(0)} MB resident before, ${early.toFixed(0)} after a second, ${late.toFixed(0)} after five, ${(before + grownMb).toFixed(0)} at most; another stream at ${((100 * beside) / alone).toFixed(0)} % of its pace`,
  )
  assert.equal(wrong, 0)
  assert.ok(beside > 0, 'another stream goes on')
  assert.ok(grownMb < MAX_STALL_MB, `${grownMb} MB grown`)
  assert.ok(before + grownMb < MAX_RESIDENT_MB, `${before + grownMb} MB resident`)
})

/** Those that are open at the broker, as it counts them. */
async function connectionsAt(admin: number): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${admin}/stats/prometheus`, {
    headers: { connection: 'close' },
  })
  const text = await answer.text()
  return Number(/^weft_rsocket_connections\{state="open"\} (\d+)$/m.exec(text)?.[1])
}

function int(random: () => number, below: number): number {
  return Math.floor(random() * below)
}

function bytes(random: () => number, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => int(random, 256)))
}

/** npm `rsocket-core` 1.0.0-alpha.3 resumes at the broker: over lines that break again and again. */
import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport } from '@weft/net'
import { eventually, seededRandom } from '@weft/testkit'
import { alpha } from './rsocket-alpha.ts'
import { METHOD, type Program, STREAM_ITEMS } from './rsocket-program.ts'

const broker = new Broker(
  { id: 'resume', limits: { resumeWindowMs: 60_000 } },
  {
    transport: createHandleTransport(),
    clock: realClock,
    log: silentLogger,
    random: Math.random,
  },
)
let brokerPort = 0
const closing: (() => void)[] = []

before(async () => {
  const address = await broker.listen({ kind: 'tcp', address: { host: '127.0.0.1', port: 0 } })
  brokerPort = address.port
})

after(() => {
  for (const close of closing.reverse()) close()
  broker.close()
})

/** A line to the broker that can be cut, bytes that are under way included. */
async function openLine() {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: '127.0.0.1', port: brokerPort, noDelay: true })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  closing.push(() => {
    server.close()
    cut()
  })
  return { port: (server.address() as AddressInfo).port, cut }
}

async function dial(port: number, resumeToken: string, services: string[], answer?: () => void) {
  const program: Program = await alpha.dial({
    ...{ carrier: 'tcp', port, caPem: '', services, resumeToken },
    ...(answer === undefined
      ? {}
      : {
          answer: (data) => {
            answer()
            return data
          },
        }),
  })
  closing.push(() => program.close())
  return program
}

/** REJECTED says that nobody has seen the request: the responder was away just then. */
async function untilTaken(ask: () => Promise<string[]>): Promise<string[]> {
  for (;;) {
    const items = await ask()
    if (!items[0]?.startsWith('#202')) return items
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}

test('requests and streams over lines that break lose nothing and run nothing twice', async () => {
  const random = seededRandom(24)
  const lines = [await openLine(), await openLine()] as const
  let answered = 0
  await dial(lines[0].port, 'token of the responder', ['s'], () => answered++)
  const requester = await dial(lines[1].port, 'token of the requester', [])
  await eventually(() => assert.equal(broker.registry.find('s').length, 1))
  const key = `s.${METHOD}`
  let cuts = 0
  for (let round = 0; round < 12; round++) {
    const asked = Array.from(
      { length: 20 },
      (_, i) => `${round}.${i} ${'y'.repeat(random() * 500)}`,
    )
    const answers = asked.map((data) => untilTaken(() => requester.response(key, data)))
    const items = untilTaken(() => requester.stream(key, `items ${round}`, 5))
    for (let turns = random() * 6; turns > 0; turns--) {
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    // Only while it is there: alpha.3 tries once each time.
    lines[random() < 0.5 ? 0 : 1].cut()
    cuts++
    assert.deepEqual(
      await Promise.all(answers),
      asked.map((data) => [data]),
    )
    assert.deepEqual(await items, Array(STREAM_ITEMS).fill(`items ${round}`))
    await eventually(() => {
      const legs = [...broker.legs]
      assert.ok(legs.length === 2 && legs.every((leg) => leg.isServing))
    })
  }
  assert.equal(cuts, 12)
  assert.equal(answered, 12 * 20)
  assert.equal(broker.openStreams, 0)
})

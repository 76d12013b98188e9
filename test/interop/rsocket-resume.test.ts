/** Both generations of npm `rsocket-core` resume at the broker: over lines that break again and again. */
import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport } from '@weft/net'
import { eventually, seededRandom } from '@weft/testkit'
import { METHOD, type Program, type ProgramKind, STREAM_ITEMS } from './rsocket-program.ts'
import { npmPrograms } from './rsocket-programs.ts'

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
const programs: (() => void)[] = []
const lines: (() => Promise<void>)[] = []

before(async () => {
  const address = await broker.listen({ kind: 'tcp', address: { host: '127.0.0.1', port: 0 } })
  brokerPort = address.port
})

after(async () => {
  for (const close of programs) close()
  broker.close()
  for (const close of lines) await close()
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
  // Those who were connected have closed before: 0.0.27 dies of a reset then.
  lines.push(async () => {
    server.close()
    await eventually(() => assert.equal(sockets.size, 0))
  })
  return { port: (server.address() as AddressInfo).port, cut }
}

async function dial(
  kind: ProgramKind,
  port: number,
  resumeToken: string,
  services: string[],
  answer?: () => void,
) {
  const program: Program = await kind.dial({
    ...{ carrier: 'tcp', port, caPem: '', services, resumeToken, comesBack: true },
    ...(answer === undefined
      ? {}
      : {
          answer: (data) => {
            answer()
            return data
          },
        }),
  })
  programs.push(() => program.close())
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

for (const kind of npmPrograms) {
  test(`${kind.name} over lines that break: nothing is lost and nothing runs twice`, async () => {
    const random = seededRandom(24)
    const service = `s.${kind.name}`
    const both = [await openLine(), await openLine()] as const
    let answered = 0
    await dial(kind, both[0].port, `${kind.name} responder token`, [service], () => answered++)
    const requester = await dial(kind, both[1].port, `${kind.name} requester token`, [])
    await eventually(() => assert.equal(broker.registry.find(service).length, 1))
    const key = `${service}.${METHOD}`
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
      both[random() < 0.5 ? 0 : 1].cut()
      cuts++
      assert.deepEqual(
        await Promise.all(answers),
        asked.map((data) => [data]),
      )
      assert.deepEqual(await items, Array(STREAM_ITEMS).fill(`items ${round}`))
      await eventually(() => {
        assert.ok([...broker.legs].every((leg) => leg.isOpen && leg.isServing))
      })
    }
    assert.equal(cuts, 12)
    assert.equal(answered, 12 * 20)
    assert.equal(broker.openStreams, 0)
  })
}

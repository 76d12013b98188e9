/**
 * What does our own code cost per request and answer, without a kernel: frame, verdict, two maps,
 * two stream ids, two copies? Budget: 2 us per pair (issue 5). And per item of a stream.
 *
 *     node --conditions=source packages/broker/src/forward.bench.ts [other|look|items]
 *
 * With a filter: `other` is not for the service, `look` looks at requests, `items` at items, too.
 */
import { realClock, silentLogger } from '@weft/base'
import type { AcceptedSocket, SocketHandler, Transport } from '@weft/net'
import {
  METADATA_ID,
  RSocketFrameReader,
  renderComposite,
  renderRequestN,
  renderRoutingTags,
  renderSetup,
} from '@weft/wire'
import { Broker } from './broker.ts'
import { setupOf } from './broker-fixture.ts'
import type { BrokerFilter } from './filters/filter.ts'
import { loadedOf } from './filters/filter-fixture.ts'

const HERE = { host: '127.0.0.1', port: 1 }
const ROUNDS = 7
const PAIRS = 200_000
/** Requests that come with one read; 1 is the worst case. */
const BATCHES = [1, 16, 64] as const
const DATA = Buffer.alloc(128, 'd')
const NOBODY: SocketHandler = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

/** Shows what is written to whoever looks, and takes everything. */
class StubSocket implements AcceptedSocket {
  handler: SocketHandler = NOBODY
  readonly remoteAddress = HERE
  readonly localAddress = HERE
  readonly pendingBytes = 0
  readonly copiesWrites = true
  closed = false
  written = 0
  onWrite: ((bytes: Uint8Array) => void) | undefined

  write(bytes: Uint8Array): boolean {
    this.written += bytes.length
    this.onWrite?.(bytes)
    return true
  }
  readdress(): void {}
  pause(): void {}
  resume(): void {}
  bulkReads(): boolean {
    return false
  }
  end(): void {}
  close(): void {
    this.closed = true
  }
  reset(): void {
    this.closed = true
  }
}

function frame(streamId: number, word: number, parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts)
  const bytes = Buffer.alloc(9 + body.length)
  bytes.writeUIntBE(6 + body.length, 0, 3)
  bytes.writeUInt32BE(streamId, 3)
  bytes.writeUInt16BE(word, 7)
  bytes.set(body, 9)
  return bytes
}

let accept: ((socket: AcceptedSocket) => SocketHandler) | undefined
const transport: Transport = {
  name: 'memory',
  async listen(_options, onAccept) {
    accept = onAccept
    return { address: HERE, close: async () => {} }
  },
  connect() {
    throw new Error('Cannot dial: this transport only listens')
  },
}

async function join(services: readonly string[]): Promise<StubSocket> {
  const socket = new StubSocket()
  if (accept === undefined) throw new Error('Cannot join: nothing listens')
  socket.handler = accept(socket)
  const setup = renderSetup(setupOf({ services }))
  socket.handler.onData(setup, setup.length)
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  return socket
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function best(count: number, round: () => Promise<void>): Promise<number> {
  await round()
  let found = Number.POSITIVE_INFINITY
  for (let at = 0; at < ROUNDS; at++) {
    // CPU time, not wall time: other processes of the machine must not count.
    const from = process.cpuUsage()
    await round()
    found = Math.min(found, (process.cpuUsage(from).user * 1e3) / count)
  }
  return found
}

const FILTERS: Readonly<Record<string, BrokerFilter>> = {
  other: { match: { services: ['other'] }, create: () => ({ onRequest: () => undefined }) },
  look: { create: () => ({ onRequest: () => undefined }) },
  items: { needs: ['response-items'], create: () => ({ onItem: () => undefined }) },
}
const filter = FILTERS[process.argv[2] ?? '']
const filters = filter && { chain: [loadedOf(filter)], version: 1 }
const broker = new Broker(
  { id: 'bench' },
  {
    ...{ transport, clock: realClock, log: silentLogger, random: Math.random },
    ...(filters === undefined ? {} : { filters }),
  },
)
await broker.listen({ kind: 'tcp', address: HERE })
const responder = await join(['svc'])
const requester = await join([])
const route = renderComposite([
  { mime: METADATA_ID.routing, content: renderRoutingTags(['svc.method']) },
])
const metadataLength = Buffer.from([0, 0, route.length])
// As from the kernel: all connections read into one buffer.
const shared = Buffer.alloc(65_536)

async function pairs(batch: number): Promise<void> {
  const requests = Buffer.concat(
    Array.from({ length: batch }, () => frame(1, 0x1100, [metadataLength, route, DATA])),
  )
  const requestBytes = requests.length / batch
  const answer = frame(0, 0x2860, [DATA])
  const answers = Buffer.concat(Array.from({ length: batch }, () => answer))
  const asked: number[] = []
  const reader = new RSocketFrameReader(
    {
      closed: false,
      onFrame: (bytes, from) =>
        asked.push(Buffer.from(bytes.buffer, bytes.byteOffset + from, 4).readUInt32BE()),
      onFrameError() {},
    },
    0xff_ff_ff,
  )
  responder.onWrite = (bytes) => reader.receive(bytes, bytes.length)
  let id = 1
  const before = requester.written
  const cost = await best(PAIRS, async () => {
    for (let done = 0; done < PAIRS; done += batch) {
      for (let at = 0; at < batch; at++, id += 2) requests.writeUInt32BE(id, at * requestBytes + 3)
      requests.copy(shared)
      requester.handler.onData(shared, requests.length)
      await turn()
      for (let at = 0; at < batch; at++) {
        answers.writeUInt32BE(asked[at] ?? 0, at * answer.length + 3)
      }
      asked.length = 0
      answers.copy(shared)
      responder.handler.onData(shared, answers.length)
      await turn()
    }
  })
  const came = (requester.written - before) / answer.length
  if (came !== (ROUNDS + 1) * Math.ceil(PAIRS / batch) * batch) {
    throw new Error(`Cannot measure: ${came} answers came through`)
  }
  const idle = await best(PAIRS, async () => {
    for (let done = 0; done < PAIRS; done += batch) {
      for (let at = 0; at < batch; at++) requests.writeUInt32BE(id, at * requestBytes + 3)
      requests.copy(shared)
      await turn()
      for (let at = 0; at < batch; at++) answers.writeUInt32BE(0, at * answer.length + 3)
      answers.copy(shared)
      await turn()
    }
  })
  print(`pairs, ${batch} a read`, cost, cost - idle)
}

async function items(): Promise<void> {
  const item = frame(0, 0x2820, [DATA])
  const perRead = 64
  const reads = Buffer.concat(Array.from({ length: perRead }, () => item))
  let streamId = 0
  responder.onWrite = (bytes) => {
    streamId ||= Buffer.from(bytes).readUInt32BE(3)
  }
  const all = Buffer.from([0x7f, 0xff, 0xff, 0xff])
  const request = frame(0x7fff_0001, 0x1900, [all, metadataLength, route, DATA])
  requester.handler.onData(request, request.length)
  await turn()
  for (let at = 0; at < perRead; at++) reads.writeUInt32BE(streamId, at * item.length + 3)
  const before = requester.written
  const cost = await best(PAIRS, async () => {
    for (let done = 0; done < PAIRS; done += perRead) {
      reads.copy(shared)
      responder.handler.onData(shared, reads.length)
      const more = renderRequestN(0x7fff_0001, 1)
      requester.handler.onData(more, more.length)
      await turn()
    }
  })
  const came = (requester.written - before) / item.length
  if (came < (ROUNDS + 1) * PAIRS) throw new Error(`Cannot measure: ${came} items came through`)
  print(`items, ${perRead} a read`, cost, cost)
}

function print(name: string, all: number, own: number): void {
  const numbers = [all, own].map((ns) => ns.toFixed(0).padStart(6))
  console.log(
    `${name.padEnd(20)} ${numbers[1]} ns (${numbers[0]?.trim()} with the bench's own work)`,
  )
}

for (const batch of BATCHES) await pairs(batch)
await items()
process.exit(0)

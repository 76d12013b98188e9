/**
 * What does our own code cost per request, without a kernel: parse, route,
 * balance, write both heads, record? Budget: 1.8 us (goal 1.2 us) for a request
 * of 612 bytes with 11 headers (design: performance, section 13).
 *
 *     node --conditions=source packages/proxy/src/exchange/replay.bench.ts
 */
import type { SocketAddress } from '@weft/model'
import type { AcceptedSocket, SocketHandler, Transport } from '@weft/net'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import {
  clusterOf,
  engineDeps,
  forwardTo,
  httpRuntime,
  listenerRuntime,
  MANAGER,
  routeOf,
  tableOf,
  upstreamOf,
} from './engine-fixture.ts'

const HERE: SocketAddress = { host: '127.0.0.1', port: 1 }
const ROUNDS = 7
const REQUESTS = 200_000

/** Swallows what is written; counts the bytes so that nothing can be optimised away. */
class StubSocket implements AcceptedSocket {
  handler: SocketHandler
  readonly remoteAddress = HERE
  readonly localAddress = HERE
  pendingBytes = 0
  closed = false
  written = 0

  readonly #onWrite: ((socket: StubSocket) => void) | undefined

  constructor(handler: SocketHandler, onWrite?: (socket: StubSocket) => void) {
    this.handler = handler
    this.#onWrite = onWrite
  }
  write(bytes: Uint8Array): boolean {
    this.written += bytes.length
    this.#onWrite?.(this)
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

const NOBODY: SocketHandler = { onOpen() {}, onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

function request(headers: readonly string[], body = ''): Buffer {
  return Buffer.from(`GET /api/v1/items?id=42 HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n${body}`)
}

const REAL = [
  'Host: weft.test',
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
  'Accept-Encoding: gzip, deflate, br',
  'Accept-Language: en-US,en;q=0.9',
  'Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N',
  'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; lang=en',
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  'x-remove-me: 1',
  'Cache-Control: no-cache',
  'Connection: keep-alive',
]

const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 100\r\nConnection: keep-alive\r\n\r\n${'x'.repeat(100)}`,
)

async function replay(name: string, bytes: Buffer, answer: Buffer): Promise<void> {
  let upstream: StubSocket | undefined
  let accept: ((socket: AcceptedSocket) => SocketHandler) | undefined
  const transport: Transport = {
    name: 'memory',
    async listen(_options, onAccept) {
      accept = onAccept
      return { address: HERE, close: async () => {} }
    },
    connect(_address, handler) {
      const socket = new StubSocket(handler, (written) => {
        upstream = written
      })
      queueMicrotask(() => socket.handler.onOpen())
      return socket
    },
  }
  const deps = engineDeps(transport)
  const cluster = upstreamOf(clusterOf('items', [HERE, { ...HERE, port: 2 }]), deps)
  const route = routeOf(forwardTo('items', { timeoutMs: 15_000 }), {
    match: { path: { kind: 'prefix', value: '/api/', ignoreCase: false }, headers: [], query: [] },
    requestHeaders: {
      set: [{ name: 'x-added', value: '1' }],
      add: [],
      remove: ['x-remove-me'],
    },
    responseHeaders: { set: [{ name: 'x-route', value: 'items' }], add: [], remove: ['server'] },
  })
  const runtime = httpRuntime(tableOf([route], ['weft.test']), [cluster], { manager: MANAGER })
  await openListener({ address: HERE }, new ListenerSlot(listenerRuntime(runtime)), deps)
  const client = new StubSocket(NOBODY)
  if (accept === undefined) throw new Error('Cannot replay: nothing listens')
  client.handler = accept(client)
  // As from the kernel: all connections read into one buffer.
  const shared = Buffer.alloc(65_536)
  const once = (): void => {
    bytes.copy(shared)
    client.handler.onData(shared, bytes.length)
    answer.copy(shared)
    upstream?.handler.onData(shared, answer.length)
  }
  // Two connections: the balancer has two endpoints to choose from.
  for (let i = 0; i < 50; i++) {
    client.handler.onData(bytes, bytes.length)
    await Promise.resolve()
    upstream?.handler.onData(answer, answer.length)
  }
  const before = client.written
  once()
  if (client.written === before) throw new Error(`Cannot replay ${name}: no answer came through`)
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < ROUNDS; round++) {
    // CPU time, not wall time: other processes of the machine must not count.
    const from = process.cpuUsage()
    for (let i = 0; i < REQUESTS; i++) once()
    best = Math.min(best, (process.cpuUsage(from).user * 1e3) / REQUESTS)
  }
  console.log(`${name.padEnd(28)} ${best.toFixed(0).padStart(6)} ns/request`)
}

await replay('real, 11 headers', request(REAL), ANSWER)
await replay('minimal', request(['Host: weft.test']), ANSWER)
process.exit(0)

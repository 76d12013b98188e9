/**
 * Sends requests at a fixed rate, whether or not earlier ones have been answered,
 * and reports what a caller would have waited. Started by `load.ts`.
 *
 *     node open-loop.ts PORT PER_SECOND SECONDS
 */
import { connect, type Socket } from 'node:net'
import { REQUEST_HEADERS, REQUEST_PATH } from './load.ts'

const [port = 0, perSecond = 0, seconds = 0] = process.argv.slice(2).map(Number)
const CONNECTIONS = 50
const WARM_UP_MS = 500

const request = Buffer.from(
  `GET ${REQUEST_PATH} HTTP/1.1\r\n${Object.entries(REQUEST_HEADERS)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`,
)

/** One connection: requests wait their turn here when an answer is late. */
class Client {
  readonly #socket: Socket
  readonly #due: number[] = []
  #head = ''
  #busy = false

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
  }

  send(dueMs: number): void {
    this.#due.push(dueMs)
    if (!this.#busy) this.#write()
  }

  #write(): void {
    this.#busy = true
    this.#head = ''
    this.#socket.write(request)
  }

  #receive(chunk: Buffer): void {
    this.#head += chunk.toString('latin1')
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) return
    const length = Number(/content-length: (\d+)/i.exec(this.#head)?.[1] ?? 0)
    if (this.#head.length < end + 4 + length) return
    if (!this.#head.startsWith('HTTP/1.1 200'))
      throw new Error(`Answered ${this.#head.slice(0, 60)}`)
    record(this.#due.shift() ?? 0)
    this.#busy = false
    if (this.#due.length > 0) this.#write()
  }
}

const latenciesUs: number[] = []
let startMs = 0

function record(dueMs: number): void {
  if (dueMs - startMs > WARM_UP_MS) latenciesUs.push((performance.now() - dueMs) * 1000)
}

const clients = await Promise.all(
  Array.from({ length: CONNECTIONS }, () => {
    const socket = connect(port, '127.0.0.1')
    return new Promise<Client>((resolve, reject) => {
      socket.once('connect', () => resolve(new Client(socket)))
      socket.once('error', reject)
    })
  }),
)

startMs = performance.now()
let sent = 0
const timer = setInterval(() => {
  const elapsedMs = performance.now() - startMs
  if (elapsedMs > WARM_UP_MS + seconds * 1000) finish()
  // Each request is due at its own moment, not at the tick that sends it.
  while (sent < (elapsedMs / 1000) * perSecond) {
    clients[sent % CONNECTIONS]?.send(startMs + (sent / perSecond) * 1000)
    sent++
  }
}, 1)

function finish(): void {
  clearInterval(timer)
  latenciesUs.sort((a, b) => a - b)
  const at = (share: number) =>
    Math.round(latenciesUs[Math.floor(latenciesUs.length * share)] ?? Number.NaN)
  process.send?.({ p50Us: at(0.5), p99Us: at(0.99) }, () => process.exit(0))
}

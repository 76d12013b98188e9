/**
 * HTTP load for one piece of work, as a process: `PORT SECONDS CONNECTIONS`. Each connection has one
 * POST of 128 bytes under way, as `load.ts` has requests. Prints how many were answered.
 */
import { connect, type Socket } from 'node:net'
import { HTTP_SERVICE } from './middle-kinds.ts'

const [port = 0, seconds = 1, connections = 1] = process.argv.slice(2).map(Number)
const REQUEST = Buffer.from(
  `POST /call HTTP/1.1\r\nHost: ${HTTP_SERVICE}\r\nContent-Length: 128\r\n\r\n${'q'.repeat(128)}`,
)
const HEAD_END = '\r\n\r\n'
/** For links that come up. */
const PATIENCE_MS = 10_000

let done = 0
let stopping = false

/** Calls `next` for each whole answer, with its status. */
function answersOf(socket: Socket, next: (status: number) => void): void {
  let soFar: Buffer = Buffer.alloc(0)
  socket.on('data', (bytes: Buffer) => {
    soFar = soFar.length === 0 ? bytes : Buffer.concat([soFar, bytes])
    const head = soFar.indexOf(HEAD_END)
    if (head < 0) return
    const text = soFar.toString('latin1', 0, head)
    const isChunked = /transfer-encoding: chunked/i.test(text)
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0)
    const bodyBytes = soFar.length - head - HEAD_END.length
    if (isChunked ? !soFar.subarray(-5).equals(Buffer.from('0\r\n\r\n')) : bodyBytes < length)
      return
    soFar = Buffer.alloc(0)
    next(Number(text.slice(9, 12)))
  })
}

function dial(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }, () => resolve(socket))
    socket.once('error', reject)
  })
}

/** Until the first answer that is one. */
async function ready(): Promise<void> {
  for (const endMs = performance.now() + PATIENCE_MS; ; ) {
    const socket = await dial()
    const status = await new Promise<number>((resolve) => {
      answersOf(socket, resolve)
      socket.write(REQUEST)
    })
    socket.destroy()
    if (status === 200) return
    if (performance.now() > endMs) throw new Error(`Cannot measure: answered with ${status}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

await ready()
for (const socket of await Promise.all(Array.from({ length: connections }, dial))) {
  answersOf(socket, (status) => {
    if (status !== 200) throw new Error(`Cannot measure: answered with ${status}`)
    done++
    if (!stopping) socket.write(REQUEST)
  })
  socket.write(REQUEST)
}
await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
stopping = true
console.log(done)
process.exit(0)

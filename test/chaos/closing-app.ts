/**
 * An application that closes a connection as soon as it was idle for a while, and does not
 * announce it: raw HTTP/1.1, because an honest server would say `Keep-Alive: timeout`.
 *
 *     node closing-app.ts PORT JOURNAL
 *
 * It reads a head, a body by Content-Length, writes the id of every POST down and answers
 * like `app.ts`. What arrives after it decided to close is never read.
 */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'

const [, , port = '0', journal = '/dev/null'] = process.argv
/** The 5 s of the fault model, five times as fast. */
const IDLE_MS = 1_000

createServer({ noDelay: true }, serve).listen(Number(port), '127.0.0.1')

function serve(socket: Socket): void {
  let received = Buffer.alloc(0)
  let timer = setTimeout(() => socket.destroy(), IDLE_MS)
  socket.on('error', () => undefined)
  socket.on('close', () => clearTimeout(timer))
  socket.on('data', (bytes: Buffer) => {
    clearTimeout(timer)
    received = Buffer.concat([received, bytes])
    for (;;) {
      const end = received.indexOf('\r\n\r\n')
      if (end === -1) return
      const head = received.toString('latin1', 0, end)
      const length = Number(field(head, 'content-length') || 0)
      const bodyAt = end + 4
      if (received.length < bodyAt + length) return
      const body = received.subarray(bodyAt, bodyAt + length)
      answer(socket, head, body)
      received = received.subarray(bodyAt + length)
      timer = setTimeout(() => socket.destroy(), IDLE_MS)
    }
  })
}

function answer(socket: Socket, head: string, body: Buffer): void {
  const id = field(head, 'x-id')
  if (head.startsWith('POST ')) appendFileSync(journal, `${id}\n`)
  const hash = createHash('sha256').update(body).digest('hex')
  const text = JSON.stringify({ id, hash, app: process.pid })
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
}

function field(head: string, name: string): string {
  return new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1]?.trim() ?? ''
}

/**
 * What stands behind the proxies, in a process of its own. Started by `contest.ts`.
 *
 *     GET /bytes/N      N bytes
 *     POST              takes the whole body, then 2 bytes
 *     Upgrade           101, then every byte comes back
 *
 *     node origin.ts PORT
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:http'

const payloads = new Map<number, Buffer>()

function payload(length: number): Buffer {
  const known = payloads.get(length)
  if (known !== undefined) return known
  const made = Buffer.alloc(length, 'x')
  payloads.set(length, made)
  return made
}

const server = createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  if (request.method === 'POST') {
    request.resume()
    request.once('end', () => response.end('ok'))
    return
  }
  const body = payload(Number(/^\/bytes\/(\d+)/.exec(request.url ?? '')?.[1] ?? 100))
  response.writeHead(200, { 'content-length': body.length }).end(body)
})
/** RFC 6455, section 4.2.2. */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

server.on('upgrade', ({ headers }, socket) => {
  socket.on('error', () => socket.destroy())
  const accept = acceptOf(headers['sec-websocket-key'] ?? '')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  socket.pipe(socket)
})
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4_096 })

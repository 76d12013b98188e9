/**
 * The application behind the proxy: says back who asked and what came, so that a client
 * can tell a right answer from a wrong one, and writes down every POST that it took.
 *
 *     node app.ts PORT JOURNAL [ADDRESS]
 *
 *     any     {"id": the request's x-id, "hash": of the body, "app": its pid}
 *     /half   begins an answer of 1,000 bytes, then kills itself
 *     /big    2 MB
 *     Upgrade 101, then every byte comes back
 */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

const [, , port = '0', journal = '/dev/null', host = '127.0.0.1'] = process.argv
const BIG = Buffer.alloc(2 * 1_048_576)

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  const hash = createHash('sha256')
  request.on('data', (chunk: Buffer) => hash.update(chunk))
  request.once('end', () => {
    const id = String(request.headers['x-id'] ?? '')
    // Before the answer: what was taken is known even if this process dies now.
    if (request.method === 'POST') appendFileSync(journal, `${id}\n`)
    if (request.url === '/half') {
      response.writeHead(200, { 'content-length': 1_000 })
      response.write('half', () => process.kill(process.pid, 'SIGKILL'))
      return
    }
    if (request.url === '/big') {
      response.writeHead(200).end(BIG)
      return
    }
    const body = JSON.stringify({ id, hash: hash.digest('hex'), app: process.pid })
    response.writeHead(200, { 'content-type': 'application/json' }).end(body)
  })
})
server.on('upgrade', (_request, socket) => {
  socket.on('error', () => socket.destroy())
  socket.write(
    'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  )
  socket.pipe(socket)
})
server.listen(Number(port), host)

/**
 * The application behind all: answers RSocket requests and HTTP requests with 128 bytes each, on one
 * port. The first byte of an RSocket frame's length is 0, that of a request line is a letter.
 */
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { answer, attach } from './endpoint.ts'

const port = Number(process.argv[2])
const body = Buffer.alloc(128, 'r')
const http = createHttpServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  request.resume()
  request.once('end', () => {
    response.writeHead(200, { 'content-length': body.length }).end(body)
  })
})
createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  socket.once('readable', () => {
    const first: Buffer | null = socket.read()
    if (first === null) return
    socket.unshift(first)
    if (first[0] === 0) {
      attach(socket, { role: 'accepting', isCoalescing: false, onRequest: answer })
    } else http.emit('connection', socket)
  })
}).listen(port, '127.0.0.1')

/** The origin behind a TCP pipe: an RSocket server that answers. */
import { createServer } from 'node:net'
import { answer, attach } from './endpoint.ts'

const port = Number(process.argv[2])
createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  attach(socket, { role: 'accepting', isCoalescing: false, onRequest: answer })
}).listen(port, '127.0.0.1')

/**
 * A gRPC server of the plainest kind, over HTTP/2 without TLS: each call is answered
 * with the message it brought and `grpc-status: 0`. Started by `contest.ts`.
 *
 *     node grpc-origin.ts PORT
 */
import { createServer, type ServerHttp2Stream } from 'node:http2'

const HEAD = { ':status': 200, 'content-type': 'application/grpc' }
const OK = { 'grpc-status': '0' }

const server = createServer({ settings: { maxConcurrentStreams: 1_000 } })
server.on('stream', (stream: ServerHttp2Stream) => {
  const chunks: Buffer[] = []
  stream.on('error', () => stream.destroy())
  stream.on('wantTrailers', () => stream.sendTrailers(OK))
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('end', () => {
    // Given up by its client in the meantime.
    if (stream.destroyed) return
    stream.respond(HEAD, { waitForTrailers: true })
    stream.end(Buffer.concat(chunks))
  })
})
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4_096 })

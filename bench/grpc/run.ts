/** What does a unary gRPC call cost: HTTP/2 on both sides, trailers, a small message. */
import { writeFileSync } from 'node:fs'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { type Place, runScenario, type Scenario } from '../kit/contest.ts'
import { h2load } from '../kit/h2load.ts'
import { oneHop } from '../kit/one-hop.ts'
import { cluster, httpListener, type ResourceFiles } from '../kit/resources.ts'

const PATH = '/bench.Echo/Call'
const HEADERS = { 'content-type': 'application/grpc', te: 'trailers' }
const CALL_TIMEOUT_MS = 5_000

function resources({ ports: [port = 0], origin }: Place): ResourceFiles {
  return {
    listeners: [httpListener(port, 'app', { codec: 'HTTP2' })],
    clusters: [cluster('app', [origin], { http2: true })],
    secrets: [],
  }
}

/** Not compressed; its length; that many bytes. */
function messageOf(bytes: number): Buffer {
  const message = Buffer.alloc(5 + bytes, 'x')
  message[0] = 0
  message.writeUInt32BE(bytes, 1)
  return message
}

/** h2load looks at the HTTP status alone: one call shows that the rest arrives, too. */
function checkCall(port: number, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`)
    const stream = session.request({ ':method': 'POST', ':path': PATH, ...HEADERS })
    const fail = (error: Error) => {
      session.destroy()
      reject(error)
    }
    const chunks: Buffer[] = []
    let status: unknown
    let why: unknown
    session.on('error', fail)
    stream.on('error', fail)
    stream.setTimeout(CALL_TIMEOUT_MS, () => fail(new Error('A call is not answered')))
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    // A failed call has nothing but a head.
    for (const name of ['response', 'trailers']) {
      stream.on(name, (fields: IncomingHttpHeaders) => {
        status = fields['grpc-status']
        why = fields['grpc-message']
      })
    }
    stream.on('close', () => {
      session.close()
      if (status === '0' && Buffer.concat(chunks).equals(message)) resolve()
      else reject(new Error(`A call ended with grpc-status ${status}: ${why}`))
    })
    stream.end(message)
  })
}

async function calls(
  port: number,
  seconds: number,
  shared: string,
  bytes: number,
): Promise<number> {
  const message = messageOf(bytes)
  await checkCall(port, message)
  const bodyFile = `${shared}/message-${bytes}.bin`
  writeFileSync(bodyFile, message)
  const headers = Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}`)
  return h2load(`http://127.0.0.1:${port}${PATH}`, seconds, { headers, bodyFile })
}

const grpc: Scenario = {
  name: 'grpc',
  summary: 'CPU per unary gRPC call, HTTP/2 on both sides, 8 connections of 8 streams.',
  unit: 'call',
  needs: ['h2load'],
  origin: new URL('../kit/grpc-origin.ts', import.meta.url),
  contenders: oneHop({
    resources,
    haproxy: { bind: 'proto h2', server: 'proto h2' },
    nginx: (port, origin) => ({
      http: `upstream app { server 127.0.0.1:${origin}; keepalive 128; keepalive_requests 100000000; }
  server { listen 127.0.0.1:${port} http2; location / { grpc_pass grpc://app; } }`,
    }),
  }),
  works: [100, 10_000].map((bytes) => ({
    name: `unary, ${bytes} B each way`,
    load: (port: number, seconds: number, shared: string) => calls(port, seconds, shared, bytes),
  })),
}

export const run = (argv: string[]): Promise<number> => runScenario(grpc, argv)

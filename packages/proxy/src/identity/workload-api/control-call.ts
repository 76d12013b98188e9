/** Calls of `weft.identity.v1.WorkloadIdentity`, the control plane's service for workloads, over `node:http2`. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import { CONTROL_PLANE_NAME } from '@weft/xds'
import type { Svid } from '../svid.ts'

export type ControlTarget = SocketAddress | { readonly path: string }

export interface ControlCall {
  readonly target: ControlTarget
  readonly method: 'IssueJwtSvid' | 'WatchBundles'
  /** A bearer token that proves who asks; absent: the certificate does, or nothing has to. */
  readonly token?: string
  /** Shown in TLS, which is spoken where there is one. */
  readonly svid?: Svid
}

export interface ControlCallEvents {
  onMessage(message: Buffer): void
  /** Once, whatever ended it. `code` is gRPC's; 0 is a good end. */
  onEnd(code: number, problem: string): void
}

export interface ControlStream {
  send(message: Uint8Array): void
  /** Nothing more will be said. */
  finish(): void
  /** `onEnd` is not called any more. */
  close(): void
}

const UNAVAILABLE = 14
const OK = 0
const PREFIX_BYTES = 5
const MAX_MESSAGE_BYTES = 16 * 1_048_576
const CONNECT_MS = 10_000
const PING_MS = 30_000
const PONG_MS = 10_000

/** Never throws: what goes wrong on the way is gRPC's UNAVAILABLE. */
export function openControlCall(
  call: ControlCall,
  clock: Clock,
  events: ControlCallEvents,
): ControlStream {
  const session = openSession(call)
  let received = Buffer.alloc(0)
  let isOver = false
  let cancelTimer = clock.after(CONNECT_MS, () => fail(`no answer within ${CONNECT_MS} ms`))
  const close = () => {
    isOver = true
    cancelTimer()
    session.destroy()
  }
  const end = (code: number, problem: string) => {
    if (isOver) return
    close()
    events.onEnd(code, problem)
  }
  const fail = (problem: string) => end(UNAVAILABLE, problem)
  /** A control plane that vanished without a word is noticed. */
  const watch = () => {
    cancelTimer()
    cancelTimer = clock.after(PING_MS, () => {
      cancelTimer = clock.after(PONG_MS, () => fail('the control plane does not answer pings'))
      if (!session.ping(() => (isOver ? undefined : watch()))) fail('the connection cannot ping')
    })
  }
  session.on('error', (error) => fail(error.message))
  session.on('close', () => fail('the connection was closed'))
  session.on('goaway', () => fail('the control plane is going away'))
  const stream = request(session, call)
  const finish = (headers: Readonly<Record<string, unknown>>) => {
    const status = Number(headers['grpc-status'] ?? UNAVAILABLE)
    end(status, status === OK ? '' : decode(headers['grpc-message']))
  }
  stream.on('response', (headers) => {
    if (headers[':status'] !== 200) fail(`HTTP status ${headers[':status']}`)
    else if (headers['grpc-status'] !== undefined) finish(headers)
    else watch()
  })
  stream.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    while (!isOver && received.length >= PREFIX_BYTES) {
      const length = received.readUInt32BE(1)
      if (length > MAX_MESSAGE_BYTES) return fail('a message is too large')
      if (received.length < PREFIX_BYTES + length) return
      const message = received.subarray(PREFIX_BYTES, PREFIX_BYTES + length)
      received = received.subarray(PREFIX_BYTES + length)
      events.onMessage(message)
    }
  })
  stream.on('trailers', finish)
  stream.on('error', (error) => fail(error.message))
  stream.on('close', () => fail('the answer was cut short'))
  return {
    send(message) {
      if (isOver) return
      const prefix = Buffer.alloc(PREFIX_BYTES)
      prefix.writeUInt32BE(message.length, 1)
      stream.write(Buffer.concat([prefix, message]))
    },
    finish: () => stream.end(),
    close,
  }
}

function request(session: ClientHttp2Session, { method, token }: ControlCall): ClientHttp2Stream {
  return session.request(
    {
      ':method': 'POST',
      ':path': `/weft.identity.v1.WorkloadIdentity/${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    { endStream: false },
  )
}

function openSession({ target, svid }: ControlCall): ClientHttp2Session {
  if ('path' in target) {
    const { path } = target
    return connect('http://localhost', { createConnection: () => connectSocket(path) })
  }
  if (svid === undefined) return connect(`http://${renderAddress(target)}`)
  return connect(`https://${renderAddress(target)}`, {
    cert: svid.chainPem,
    key: svid.keyPem,
    ca: svid.rootsPem,
    servername: CONTROL_PLANE_NAME,
  })
}

function decode(text: unknown): string {
  if (typeof text !== 'string' || text === '') return 'no reason was given'
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** One gRPC stream to the control plane over `node:http2`: messages out, messages in, one end. */
import { type ClientHttp2Session, connect } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import { FrameReader, frame } from '../wire/grpc-frames.ts'
import type { XdsCredentials } from './ads-client.ts'
import { CONTROL_PLANE_NAME } from './control-plane-name.ts'

const METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const CONNECT_MS = 10_000
const PING_MS = 30_000
const PONG_MS = 10_000
const WINDOW_BYTES = 1_048_576
const MAX_RESPONSE_BYTES = 64 * 1_048_576
/** What may wait in memory for a control plane that does not read. */
const MAX_QUEUED_BYTES = 4 * 1_048_576

export interface TransportEvents {
  /** The server answered the request for a stream. */
  onOpen(): void
  onMessage(message: Uint8Array): void
  /** Once, whatever ended it. */
  onEnd(reason: string): void
}

export interface Transport {
  send(message: Uint8Array): void
  close(reason: string): void
}

export function openTransport(
  target: SocketAddress | { readonly path: string },
  clock: Clock,
  events: TransportEvents,
  credentials?: XdsCredentials,
): Transport {
  const session = openSession(target, credentials)
  const stream = session.request(
    { ':method': 'POST', ':path': METHOD, 'content-type': 'application/grpc', te: 'trailers' },
    { endStream: false },
  )
  const reader = new FrameReader(MAX_RESPONSE_BYTES)
  let ended = false
  let cancelTimer = clock.after(CONNECT_MS, () => end(`no answer within ${CONNECT_MS} ms`))

  function end(reason: string): void {
    if (ended) return
    ended = true
    cancelTimer()
    stream.close()
    session.destroy()
    events.onEnd(reason)
  }

  /** A control plane that vanished without a word would otherwise be believed for ever. */
  function watch(): void {
    cancelTimer()
    cancelTimer = clock.after(PING_MS, () => {
      cancelTimer = clock.after(PONG_MS, () => end('the control plane does not answer pings'))
      if (!session.ping(() => (ended ? undefined : watch()))) end('the connection cannot ping')
    })
  }

  session.on('error', (error) => end(error.message))
  session.on('close', () => end('connection closed'))
  session.on('goaway', () => end('the control plane is going away'))
  session.on('connect', () => {
    // It may have been given up meanwhile.
    if (!session.destroyed) session.setLocalWindowSize(4 * WINDOW_BYTES)
  })
  stream.on('response', (headers) => {
    const status = headers['grpc-status']
    if (headers[':status'] !== 200) return end(`HTTP status ${headers[':status']}`)
    if (status !== undefined) return end(statusReason(status, headers['grpc-message']))
    watch()
    events.onOpen()
  })
  stream.on('trailers', (headers) => {
    end(statusReason(headers['grpc-status'], headers['grpc-message']))
  })
  stream.on('data', (chunk: Buffer) => {
    try {
      for (const message of reader.read(chunk)) if (!ended) events.onMessage(message)
    } catch (error) {
      end(error instanceof Error ? error.message : String(error))
    }
  })
  stream.on('error', (error) => end(error.message))
  stream.on('close', () => end('stream closed'))

  return {
    send(message) {
      if (ended) return
      if (stream.writableLength > MAX_QUEUED_BYTES) end('the control plane does not read')
      else stream.write(frame([message]))
    },
    close: end,
  }
}

function openSession(
  target: SocketAddress | { readonly path: string },
  credentials: XdsCredentials | undefined,
): ClientHttp2Session {
  if ('path' in target) {
    const { path } = target
    return connect('http://localhost', {
      ...SESSION,
      createConnection: () => connectSocket(path),
    })
  }
  if (credentials === undefined) return connect(`http://${renderAddress(target)}`, SESSION)
  const { chainPem: cert, keyPem: key, rootsPem: ca } = credentials
  const servername = CONTROL_PLANE_NAME
  return connect(`https://${renderAddress(target)}`, { ...SESSION, cert, key, ca, servername })
}

const SESSION = { settings: { initialWindowSize: WINDOW_BYTES, enablePush: false } } as const

function statusReason(status: unknown, message: unknown): string {
  const text = typeof message === 'string' && message !== '' ? `: ${decode(message)}` : ''
  return `gRPC status ${status ?? 'unknown'}${text}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/**
 * Asks the control plane over gRPC, which is no cluster of the configuration. One HTTP/2 connection
 * carries all questions; it is made again after it broke, and with another certificate.
 */
import type { ClientHttp2Session } from 'node:http2'
import { createConnection } from 'node:net'
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import type { XdsCredentials } from '../client/ads-client.ts'
import { CONTROL_PLANE_NAME } from '../client/control-plane-name.ts'
import type { ServiceQuestion } from './limit-asker.ts'

const PREFIX_BYTES = 5
/** An answer is a few hundred bytes. */
const MAX_ANSWER_BYTES = 65_536

/** Loaded by the first question: most proxies ask none. */
const http2 = () => process.getBuiltinModule('node:http2')

interface ServiceWay {
  readonly target: SocketAddress | { readonly path: string }
  /** Absent: plaintext. */
  readonly credentials?: XdsCredentials
}

interface Known {
  readonly session: ClientHttp2Session
  readonly credentials: XdsCredentials | undefined
}

export class ServiceClient {
  readonly #sessions = new Map<string, Known>()

  /** @returns Cancels. `done` is called once unless cancelled: the answer's message, or `undefined`. */
  ask(
    way: ServiceWay,
    question: ServiceQuestion,
    clock: Clock,
    done: (message: Uint8Array | undefined) => void,
  ): () => void {
    const { NGHTTP2_CANCEL } = http2().constants
    let open = true
    const stream = this.#sessionOf(way).request({
      ':method': 'POST',
      ':path': question.path,
      ':authority': question.authority,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': `${Math.ceil(question.timeoutMs)}m`,
    })
    const parts: Buffer[] = []
    let length = 0
    let ok = false
    const end = (message: Uint8Array | undefined): void => {
      if (!open) return
      open = false
      cancelTimer()
      done(message)
    }
    const cancelTimer = clock.after(question.timeoutMs, () => {
      end(undefined)
      stream.close(NGHTTP2_CANCEL)
    })
    const readStatus = (headers: { readonly [name: string]: unknown }): void => {
      if (headers['grpc-status'] !== undefined) ok = headers['grpc-status'] === '0'
    }
    stream.on('response', readStatus).on('trailers', readStatus)
    stream.on('data', (part: Buffer) => {
      length += part.length
      if (length > MAX_ANSWER_BYTES) stream.close(NGHTTP2_CANCEL)
      else parts.push(part)
    })
    stream.on('error', () => end(undefined))
    stream.on('close', () => end(ok ? messageIn(Buffer.concat(parts)) : undefined))
    stream.end(framed(question.message))
    return () => {
      open = false
      cancelTimer()
      stream.close(NGHTTP2_CANCEL)
    }
  }

  #sessionOf({ target, credentials }: ServiceWay): ClientHttp2Session {
    const key = 'path' in target ? target.path : renderAddress(target)
    const known = this.#sessions.get(key)
    if (known !== undefined && !known.session.closed && !known.session.destroyed) {
      if (known.credentials?.chainPem === credentials?.chainPem) return known.session
      // What is asked on it still gets its answer.
      known.session.close()
    }
    const session = connectTo(target, credentials)
    const forget = (): void => {
      if (this.#sessions.get(key)?.session === session) this.#sessions.delete(key)
    }
    session.on('error', forget).on('close', forget).on('goaway', forget)
    // Resting, it keeps no process alive.
    session.unref()
    this.#sessions.set(key, { session, credentials })
    return session
  }
}

function connectTo(
  target: ServiceWay['target'],
  credentials: XdsCredentials | undefined,
): ClientHttp2Session {
  const { connect } = http2()
  if ('path' in target) {
    const createSocket = () => createConnection(target.path)
    return connect('http://localhost', { createConnection: createSocket })
  }
  if (credentials === undefined) return connect(`http://${renderAddress(target)}`)
  const { chainPem: cert, keyPem: key, rootsPem: ca } = credentials
  return connect(`https://${renderAddress(target)}`, {
    ...{ cert, key, ca, servername: CONTROL_PLANE_NAME },
  })
}

function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(PREFIX_BYTES + message.length)
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, PREFIX_BYTES)
  return bytes
}

/** One message, not compressed; anything else is no answer. */
function messageIn(bytes: Buffer): Uint8Array | undefined {
  if (bytes.length < PREFIX_BYTES || bytes[0] !== 0) return undefined
  const message = bytes.subarray(PREFIX_BYTES)
  return message.length === bytes.readUInt32BE(1) ? message : undefined
}

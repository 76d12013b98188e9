/**
 * Asks the control plane over gRPC, which is no cluster of the configuration. One HTTP/2 connection
 * carries all questions; it is made again after it broke. In plain text.
 */
import type { ClientHttp2Session } from 'node:http2'
import { createConnection } from 'node:net'
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import type { ServiceQuestion } from './limit-asker.ts'

const PREFIX_BYTES = 5
/** An answer is a few hundred bytes. */
const MAX_ANSWER_BYTES = 65_536

/** Loaded by the first question: most proxies ask none. */
const http2 = () => process.getBuiltinModule('node:http2')

type ServiceAddress = SocketAddress | { readonly path: string }

export class ServiceClient {
  readonly #sessions = new Map<string, ClientHttp2Session>()

  /** @returns Cancels. `done` is called once unless cancelled: the answer's message, or `undefined`. */
  ask(
    address: ServiceAddress,
    question: ServiceQuestion,
    clock: Clock,
    done: (message: Uint8Array | undefined) => void,
  ): () => void {
    const { NGHTTP2_CANCEL } = http2().constants
    let open = true
    const stream = this.#sessionOf(address).request({
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

  #sessionOf(address: ServiceAddress): ClientHttp2Session {
    const key = 'path' in address ? address.path : renderAddress(address)
    const known = this.#sessions.get(key)
    if (known !== undefined && !known.closed && !known.destroyed) return known
    const { connect } = http2()
    const session =
      'path' in address
        ? connect('http://localhost', { createConnection: () => createConnection(address.path) })
        : connect(`http://${key}`)
    const forget = (): void => {
      if (this.#sessions.get(key) === session) this.#sessions.delete(key)
    }
    session.on('error', forget).on('close', forget).on('goaway', forget)
    // Resting, it keeps no process alive.
    session.unref()
    this.#sessions.set(key, session)
    return session
  }
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

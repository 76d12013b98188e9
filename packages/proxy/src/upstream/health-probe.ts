/**
 * What one health check asks over one connection, and how it reads the answer. A probe is given
 * an open socket and says once what came of it; whoever runs it keeps the time.
 */
import type { HealthProbe } from '@weft/model'
import type { Socket, SocketHandler } from '@weft/net'
import { type CheckOutcome, TextMatcher } from '@weft/traffic'
import { MessageHead, parseResponseHead, SPAN } from '@weft/wire'

/** The bytes of a connection as a probe sees them. */
export interface ProbeConversation {
  /** Connected: ask. */
  start(socket: Socket): void
  data(bytes: Buffer, length: number): void
  /** The peer's end of stream, or the end of the connection. */
  end(): void
}

export type Conclude = (outcome: CheckOutcome) => void

type HttpProbe = Extract<HealthProbe, { readonly kind: 'http' }>
type TcpProbe = Extract<HealthProbe, { readonly kind: 'tcp' }>

/** An answer to a check is small; more is no answer. */
const MAX_ANSWER_BYTES = 65_536

/** Head fields of a request by HTTP/1, also the form that HTTP/2 requests are made from. */
export function requestText(
  method: string,
  path: string,
  host: string,
  fields: readonly string[],
): Buffer {
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${host}`, ...fields, '', '']
  return Buffer.from(lines.join('\r\n'), 'latin1')
}

export class Http1Conversation implements ProbeConversation {
  readonly #probe: HttpProbe
  readonly #host: string
  readonly #conclude: Conclude
  readonly #head = new MessageHead()
  #bytes = Buffer.alloc(0)

  constructor(probe: HttpProbe, host: string, conclude: Conclude) {
    this.#probe = probe
    this.#host = host
    this.#conclude = conclude
  }

  start(socket: Socket): void {
    const { method, path } = this.#probe
    const length = method === 'POST' ? ['content-length: 0'] : []
    const fields = ['user-agent: weft/health-check', ...length, 'connection: close']
    socket.write(requestText(method, path, this.#host, fields))
  }

  data(bytes: Buffer, length: number): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(0, length)])
    for (;;) {
      const end = this.#bytes.length
      const result = parseResponseHead(this.#head, this.#bytes, 0, end, MAX_ANSWER_BYTES)
      if (result === 0) return
      if (result < 0) {
        this.#conclude('failed')
        return
      }
      if (this.#head.status >= 200) break
      this.#bytes = this.#bytes.subarray(result)
      this.#head.reset()
    }
    this.#conclude(judgeHttp(this.#probe, this.#head, this.#bytes))
  }

  end(): void {
    this.#conclude('failed')
  }
}

/** A status that is not expected counts at once; a wrong service is somebody else's answer. */
export function judgeHttp(probe: HttpProbe, head: MessageHead, bytes: Buffer): CheckOutcome {
  const { status } = head
  if (!probe.expectedStatuses.some(({ from, to }) => status >= from && status < to)) {
    return 'refused'
  }
  if (probe.serviceName === undefined) return 'passed'
  const name = fieldText(head, bytes, 'x-envoy-upstream-healthchecked-cluster') ?? ''
  const matcher = new TextMatcher(probe.serviceName, 'service name of a health check')
  return matcher.matches(name) ? 'passed' : 'refused'
}

export function fieldText(head: MessageHead, bytes: Buffer, name: string): string | undefined {
  const { spans } = head
  for (let at = 0; at < head.count * SPAN; at += SPAN) {
    const found = bytes.toString('latin1', spans[at], spans[at + 1])
    if (found.toLowerCase() === name) return bytes.toString('latin1', spans[at + 2], spans[at + 3])
  }
  return undefined
}

/** Envoy's order: the expected pieces come in turn, anything may stand between them. */
export class TcpConversation implements ProbeConversation {
  readonly #probe: TcpProbe
  readonly #conclude: Conclude
  #bytes = Buffer.alloc(0)

  constructor(probe: TcpProbe, conclude: Conclude) {
    this.#probe = probe
    this.#conclude = conclude
  }

  start(socket: Socket): void {
    const { send, receive } = this.#probe
    if (send !== undefined) socket.write(Buffer.from(send))
    if (receive.length === 0) this.#conclude('passed')
  }

  data(bytes: Buffer, length: number): void {
    this.#bytes = Buffer.concat([this.#bytes, bytes.subarray(0, length)])
    let from = 0
    for (const piece of this.#probe.receive) {
      const at = this.#bytes.indexOf(piece, from)
      if (at < 0) {
        if (this.#bytes.length > MAX_ANSWER_BYTES) this.#conclude('failed')
        return
      }
      from = at + piece.length
    }
    this.#conclude('passed')
  }

  end(): void {
    this.#conclude('failed')
  }
}

/** What the socket says, until somebody has concluded. */
export class ProbeSocket implements SocketHandler {
  readonly #conversation: ProbeConversation
  #socket: Socket | undefined

  constructor(conversation: ProbeConversation) {
    this.#conversation = conversation
  }

  attach(socket: Socket): void {
    this.#socket = socket
  }

  onOpen(): void {
    if (this.#socket !== undefined) this.#conversation.start(this.#socket)
  }

  onData(bytes: Uint8Array, length: number): void {
    this.#conversation.data(bytes as Buffer, length)
  }

  onEnd(): void {
    this.#conversation.end()
  }

  onDrain(): void {}

  onClose(): void {
    this.#conversation.end()
  }
}

/** Health checks over HTTP/2: plain requests, and `grpc.health.v1.Health/Check`. */
import type { HealthProbe } from '@weft/model'
import type { Socket } from '@weft/net'
import type { CheckOutcome } from '@weft/traffic'
import {
  H2_ERROR,
  type HeadTarget,
  type Http2Handler,
  Http2Session,
  type Http2Stream,
  MessageHead,
} from '@weft/wire'
import {
  type Conclude,
  fieldText,
  judgeHttp,
  type ProbeConversation,
  requestText,
} from './health-probe.ts'

type Http2Probe = Extract<HealthProbe, { readonly kind: 'http' | 'grpc' }>

const GRPC_PATH = '/grpc.health.v1.Health/Check'
/** `HealthCheckResponse { status: SERVING }`. */
const SERVING = 1
const MAX_MESSAGE_BYTES = 1_024

export class Http2Conversation implements ProbeConversation {
  readonly #probe: Http2Probe
  readonly #host: string
  readonly #conclude: Conclude
  readonly #session: Http2Session
  #socket: Socket | undefined

  constructor(probe: Http2Probe, host: string, conclude: Conclude, nowMs: () => number) {
    this.#probe = probe
    this.#host = host
    this.#conclude = conclude
    const events = new ProbeEvents(probe, conclude, (stream, count) => {
      this.#session.consumed(stream, count)
    })
    this.#session = new Http2Session(events, { role: 'client', now: nowMs })
  }

  start(socket: Socket): void {
    this.#socket = socket
    const session = this.#session
    session.start()
    const probe = this.#probe
    const isGrpc = probe.kind === 'grpc'
    const fields = isGrpc ? ['content-type: application/grpc', 'te: trailers'] : []
    const text = requestText(
      isGrpc ? 'POST' : probe.method,
      isGrpc ? GRPC_PATH : probe.path,
      this.#host,
      ['user-agent: weft/health-check', ...fields],
    )
    const stream = session.sendRequestText('http', text, 0, text.length, !isGrpc)
    if (stream === undefined) {
      this.#conclude('failed')
      return
    }
    if (isGrpc) {
      const message = checkRequest(probe.service)
      session.sendData(stream, message, 0, message.length, true)
    }
    this.#flush()
  }

  data(bytes: Buffer, length: number): void {
    this.#session.receive(bytes, length)
    this.#flush()
  }

  end(): void {
    this.#conclude('failed')
  }

  #flush(): void {
    const { out } = this.#session
    if (out.length === 0 || this.#socket === undefined) return
    // A copy: the socket may keep what the kernel does not take at once.
    this.#socket.write(Buffer.from(out.bytes.subarray(0, out.length)))
    out.clear()
    this.#session.drained()
  }
}

class ProbeEvents implements Http2Handler {
  readonly #probe: Http2Probe
  readonly #conclude: Conclude
  readonly #consumed: (stream: Http2Stream, count: number) => void
  #target: HeadTarget = newTarget()
  #body = Buffer.alloc(0)

  constructor(
    probe: Http2Probe,
    conclude: Conclude,
    consumed: (stream: Http2Stream, count: number) => void,
  ) {
    this.#probe = probe
    this.#conclude = conclude
    this.#consumed = consumed
  }

  onOutput(): void {}

  headTarget(): HeadTarget {
    this.#target = newTarget()
    return this.#target
  }

  onHeaders(_stream: Http2Stream, endStream: boolean): void {
    const { head, headBytes } = this.#target
    if (this.#probe.kind === 'http') this.#conclude(judgeHttp(this.#probe, head, headBytes))
    else if (head.status !== 200 || endStream) this.#conclude('refused')
  }

  onInterim(): void {}

  onRefused(): void {
    this.#conclude('failed')
  }

  onData(stream: Http2Stream, bytes: Buffer, from: number, to: number, endStream: boolean): void {
    this.#body = Buffer.concat([this.#body, bytes.subarray(from, to)])
    this.#consumed(stream, to - from)
    // A gRPC answer ends with trailers.
    if (endStream || this.#body.length > MAX_MESSAGE_BYTES) this.#conclude('failed')
  }

  onTrailers(_stream: Http2Stream, { head, headBytes }: HeadTarget): void {
    this.#conclude(judgeGrpc(fieldText(head, headBytes, 'grpc-status'), this.#body))
  }

  onReset(): void {
    this.#conclude('failed')
  }

  onWritable(): void {}

  onGoaway(_lastStreamId: number, code: number): void {
    if (code !== H2_ERROR.noError) this.#conclude('failed')
  }

  onSettings(): void {}
  onPingAck(): void {}
  onStreamClosed(): void {}

  onSessionError(): void {
    this.#conclude('failed')
  }
}

function newTarget(): HeadTarget {
  return { head: new MessageHead(), headBytes: Buffer.alloc(1_024), headLength: 0 }
}

/** `HealthCheckRequest { string service = 1 }` with gRPC's five bytes in front. */
function checkRequest(service: string): Buffer {
  const name = Buffer.from(service)
  const message = name.length === 0 ? name : Buffer.concat([tagged(name.length), name])
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

function tagged(length: number): Buffer {
  const high = length >> 7
  return Buffer.from(high === 0 ? [0x0a, length] : [0x0a, (length & 0x7f) | 0x80, high])
}

function judgeGrpc(grpcStatus: string | undefined, body: Buffer): CheckOutcome {
  if (grpcStatus !== '0') return 'refused'
  if (body.length < 5 || body[0] !== 0 || body.readUInt32BE(1) !== body.length - 5) return 'failed'
  // Field 1 as a varint, the only one; left out it is UNKNOWN.
  return body[5] === 0x08 && body[6] === SERVING ? 'passed' : 'refused'
}

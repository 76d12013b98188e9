/** What the session of a client's HTTP/2 connection reports, handed to the stream it is about. */
import {
  H2_ERROR,
  type HeadTarget,
  type Http2Handler,
  type Http2Stream,
  MessageHead,
} from '@weft/wire'
import type { Http2Connection } from './http2.ts'
import { ClientStream } from './http2-stream.ts'

export class ClientEvents implements Http2Handler {
  readonly #connection: Http2Connection

  constructor(connection: Http2Connection) {
    this.#connection = connection
  }

  onOutput(): void {
    this.#connection.output()
  }

  headTarget(stream: Http2Stream): HeadTarget {
    return (
      this.#connection.begin(stream) ?? {
        head: new MessageHead(),
        headBytes: Buffer.alloc(1_024),
        headLength: 0,
      }
    )
  }

  onHeaders(stream: Http2Stream, endStream: boolean): void {
    const client = clientOf(stream)
    if (client === undefined) this.#connection.refuse(stream, H2_ERROR.refusedStream)
    else client.onHeaders(endStream)
  }

  onRefused(stream: Http2Stream, problem: number): void {
    const client = clientOf(stream)
    if (client === undefined) this.#connection.refuse(stream, H2_ERROR.protocolError)
    else client.onRefused(problem)
  }

  onData(stream: Http2Stream, bytes: Buffer, from: number, to: number, endStream: boolean): void {
    clientOf(stream)?.onData(bytes, from, to, endStream)
  }

  onTrailers(stream: Http2Stream, trailers: HeadTarget): void {
    clientOf(stream)?.onTrailers(trailers)
  }

  onReset(stream: Http2Stream, code: number, byPeer: boolean): void {
    const who = byPeer ? 'the client reset its stream' : 'the stream was reset'
    clientOf(stream)?.onReset(`${who} (HTTP/2 error ${code})`)
  }

  onWritable(stream: Http2Stream): void {
    clientOf(stream)?.onWritable()
  }

  onStreamClosed(stream: Http2Stream): void {
    clientOf(stream)?.onClosed()
    stream.user = undefined
    this.#connection.streamClosed()
  }

  onPingAck(): void {
    this.#connection.pingAnswered()
  }

  onSessionError(_code: number, why: string): void {
    this.#connection.failed(why)
  }

  // What only servers say.
  onInterim(): void {}
  onGoaway(): void {}
  onSettings(): void {}
}

function clientOf(stream: Http2Stream): ClientStream | undefined {
  return stream.user instanceof ClientStream ? stream.user : undefined
}

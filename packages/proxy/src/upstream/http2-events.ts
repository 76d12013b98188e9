/** What the session of a connection to an endpoint reports, handed to the stream it is about. */
import {
  H2_ERROR,
  type HeadTarget,
  type Http2Handler,
  type Http2Stream,
  MessageHead,
} from '@weft/wire'
import type { Http2Upstream } from './http2.ts'
import { UpstreamStream } from './http2-stream.ts'
import type { StreamLoss } from './upstream-user.ts'

export class UpstreamEvents implements Http2Handler {
  readonly #connection: Http2Upstream

  constructor(connection: Http2Upstream) {
    this.#connection = connection
  }

  onOutput(): void {
    this.#connection.output()
  }

  headTarget(stream: Http2Stream): HeadTarget {
    return (
      sideOf(stream)?.answerTarget ?? {
        head: new MessageHead(),
        headBytes: Buffer.alloc(1_024),
        headLength: 0,
      }
    )
  }

  onHeaders(stream: Http2Stream, endStream: boolean): void {
    sideOf(stream)?.onHead(endStream)
  }

  onInterim(stream: Http2Stream): void {
    sideOf(stream)?.onHead(false)
  }

  onData(stream: Http2Stream, bytes: Buffer, from: number, to: number, endStream: boolean): void {
    sideOf(stream)?.onData(bytes, from, to, endStream)
  }

  onTrailers(stream: Http2Stream, trailers: HeadTarget): void {
    sideOf(stream)?.onTrailers(trailers)
  }

  onReset(stream: Http2Stream, code: number, byPeer: boolean): void {
    sideOf(stream)?.onReset(this.#lossOf(code), detailOf(code, byPeer))
  }

  #lossOf(code: number): StreamLoss {
    const { gone, session } = this.#connection
    if (gone) return 'lost'
    if (code !== H2_ERROR.refusedStream) return 'reset'
    return session.goingAway ? 'unprocessed' : 'refused'
  }

  onWritable(stream: Http2Stream): void {
    sideOf(stream)?.onWritable()
  }

  onStreamClosed(stream: Http2Stream): void {
    stream.user = undefined
    this.#connection.settle()
  }

  onGoaway(): void {
    this.#connection.retire()
  }

  onSettings(): void {
    this.#connection.onSettings()
  }

  onPingAck(): void {
    this.#connection.pingAnswered()
  }

  onSessionError(): void {
    this.#connection.failed()
  }

  // What only clients say.
  onRefused(): void {}
}

function detailOf(code: number, byPeer: boolean): string {
  const who = byPeer ? 'the upstream reset the stream' : 'the stream was reset'
  return `${who} (HTTP/2 error ${code})`
}

function sideOf(stream: Http2Stream): UpstreamStream | undefined {
  return stream.user instanceof UpstreamStream ? stream.user : undefined
}

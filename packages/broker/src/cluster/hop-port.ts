/** What a connection between two brokers has besides the streams that come over it. */
import type { FrameView, Interaction } from '@weft/wire'

export interface HopPort {
  /** Streams that we began over it. */
  readonly openStreams: number
  /** The other broker asks. */
  onRequest(view: FrameView, interaction: Interaction): void
  /** A frame of a stream that the connection does not know. False: neither does this. */
  onFrame(view: FrameView): boolean
  /** The connection takes bytes again. */
  onRoom(): void
  /** It is being cut. */
  onEnd(why: string): void
}

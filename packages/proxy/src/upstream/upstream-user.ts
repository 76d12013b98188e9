/** Who uses an upstream connection: an exchange, or the copy of one. */
import type { Failure } from '../exchange/failures.ts'
import type { UpstreamConnection } from './connection.ts'

export interface UpstreamUser {
  /** A connection is there; may be called before `HttpPool.acquire` returns. */
  onUpstreamReady(connection: UpstreamConnection): void
  /** There will be none. Never called before `acquire` returns, but for `overflow`. */
  onUpstreamFailed(failure: Failure, detail: string): void
  /** `bytes[0..length)`, valid only during the call. */
  onUpstreamData(bytes: Buffer, length: number): void
  /** The upstream ended its side. */
  onUpstreamEnd(): void
  onUpstreamDrain(): void
  /** The connection is gone without having been given back. */
  onUpstreamGone(error: Error | undefined): void
}

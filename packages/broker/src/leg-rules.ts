/** What holds for every connection: ids of streams, and what a SETUP must not say. */
import { MAX_STREAM_ID, type Setup } from '@weft/wire'

/** The next id of the same parity; after the last one they begin again. */
export function followingId(id: number): number {
  if (id + 2 <= MAX_STREAM_ID) return id + 2
  return id % 2 === 0 ? 2 : 1
}

export function setupProblem(setup: Setup): string | undefined {
  if (setup.majorVersion !== 1) return `version ${setup.majorVersion} is not supported`
  if (setup.keepaliveMs === 0) return 'the keepalive interval must be > 0'
  return setup.maxLifetimeMs === 0 ? 'the lifetime must be > 0' : undefined
}

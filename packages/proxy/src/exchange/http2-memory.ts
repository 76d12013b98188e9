/**
 * Memory in which HTTP/2 connections put together what they send in one turn of the
 * event loop. All of it comes back after the turn, so that a connection that rests
 * keeps next to nothing, and one under load makes no garbage.
 *
 * What a stream keeps because its peer takes nothing is another matter: it may be much, and
 * many at once. It comes from buffers that can be resized, whose pages the system has back the
 * moment they are let go; others wait for a collection, and malloc may keep them even then.
 */
import { giveWriteMemory, takeWriteMemory } from '@weft/net'
import type { Http2Memory } from '@weft/wire'

/** Asked for at least: so much comes from a pool. */
const POOLED_BYTES = 65_536
/** What 64 calls of 10 KB write in one turn, with room to spare. */
const LARGE_BYTES = 1_048_576
const LARGE_FROM_BYTES = 131_073
const MAX_SPARE = 2

const spare: Buffer[] = []

/** As `Http2Memory`; `outBytes` follows what memory the process has left. */
export const http2Memory: Http2Memory & { outBytes: number } = {
  outBytes: LARGE_BYTES,

  take(bytes) {
    if (bytes < LARGE_FROM_BYTES) return takeWriteMemory(Math.max(bytes, POOLED_BYTES))
    if (bytes > LARGE_BYTES) return Buffer.allocUnsafeSlow(bytes)
    return spare.pop() ?? Buffer.allocUnsafeSlow(LARGE_BYTES)
  },

  give(memory) {
    if (memory.length !== LARGE_BYTES) giveWriteMemory(memory)
    else if (spare.length < MAX_SPARE && this.outBytes === LARGE_BYTES) spare.push(memory)
  },

  keep(bytes) {
    return Buffer.from(new ArrayBuffer(bytes, { maxByteLength: bytes }), 0, bytes)
  },

  letGo({ buffer }) {
    if (buffer instanceof ArrayBuffer && buffer.resizable) buffer.resize(0)
  },
}

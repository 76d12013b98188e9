/**
 * The buffer in which every outgoing message of this thread is put together. A
 * message is composed and written in one go, so one buffer serves all; a write
 * that stays pending takes the memory along (`detach`).
 *
 * Small messages go through one small buffer. A body that needs more borrows from
 * the pool of `@weft/net` for one message.
 */
import { giveWriteMemory, giveWriteMemoryLater, type Socket, takeWriteMemory } from '@weft/net'
import { OutBuffer } from '@weft/wire'

const INITIAL_BYTES = 16_384
/** Of messages so short, the part of `small` that is written is made once per length. */
const VIEWED_BYTES = 2_048

export const out = new OutBuffer(INITIAL_BYTES, takeWriteMemory)
/** What `out` goes back to after a message that needed more. */
let small = out.bytes
let views = noViews()

/** Full from the start: an array with holes becomes a hash table (measured: 5 % of a request). */
function noViews(): (Buffer | undefined)[] {
  return new Array<Buffer | undefined>(VIEWED_BYTES + 1).fill(undefined)
}

function written(bytes: Buffer, length: number): Buffer {
  if (bytes !== small || length > VIEWED_BYTES) return bytes.subarray(0, length)
  const known = views[length]
  if (known !== undefined) return known
  const view = bytes.subarray(0, length)
  views[length] = view
  return view
}

/** Sends what was composed and leaves `out` empty. Whether the kernel took it all. */
export function flushTo(socket: Socket): boolean {
  if (out.length === 0) return true
  const { bytes } = out
  const taken = socket.write(written(bytes, out.length))
  const free = taken || socket.copiesWrites === true
  if (bytes === small) {
    if (free) out.clear()
    else {
      out.detach()
      small = out.bytes
      views = noViews()
    }
  } else {
    out.detach(small)
    if (free) giveWriteMemory(bytes)
    else giveWriteMemoryLater(bytes)
  }
  return taken
}

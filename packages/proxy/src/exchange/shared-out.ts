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

export const out = new OutBuffer(INITIAL_BYTES, takeWriteMemory)
/** What `out` goes back to after a message that needed more. */
let small = out.bytes

/** Sends what was composed and leaves `out` empty. Whether the kernel took it all. */
export function flushTo(socket: Socket): boolean {
  if (out.length === 0) return true
  const { bytes } = out
  const taken = socket.write(bytes.subarray(0, out.length))
  const free = taken || socket.copiesWrites === true
  if (bytes === small) {
    if (free) out.clear()
    else {
      out.detach()
      small = out.bytes
    }
  } else {
    out.detach(small)
    if (free) giveWriteMemory(bytes)
    else giveWriteMemoryLater(bytes)
  }
  return taken
}

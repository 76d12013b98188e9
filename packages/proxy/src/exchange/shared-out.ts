/**
 * The buffer in which every outgoing message of this thread is put together. A
 * message is composed and written in one go, so one buffer serves all; a write
 * that stays pending takes the memory along (`detach`).
 */
import type { Socket } from '@weft/net'
import { OutBuffer } from '@weft/wire'

const INITIAL_BYTES = 16_384

export const out = new OutBuffer(INITIAL_BYTES)

/** Sends what was composed and leaves `out` empty. Whether the kernel took it all. */
export function flushTo(socket: Socket): boolean {
  if (out.length === 0) return true
  const taken = socket.write(out.bytes.subarray(0, out.length))
  if (taken) out.clear()
  else out.detach()
  return taken
}

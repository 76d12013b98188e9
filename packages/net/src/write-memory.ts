/**
 * Memory in which large messages are put together before they are written. What a
 * pending write takes along comes back when that write is over, so that bodies on
 * their way cost no allocation: one of this size is fresh pages from the kernel,
 * faulted in one by one, and garbage that V8 hurries to collect.
 *
 * Bounded: what does not fit into the pool is left to the collector, and so is
 * what somebody keeps for good.
 */

/** A full read of the shared buffer, what is before it and the framing of a chunk. */
const WRITE_MEMORY_BYTES = 131_072
/** Up to here memory comes from the allocator without asking the kernel. */
const SMALL_BYTES = 16_384
const MAX_SPARE = 16

const spare: Buffer[] = []
/** By their memory, as writes hold views. */
const lent = new WeakMap<ArrayBufferLike, Buffer>()

/** At least `bytes` of memory, from the pool when they are many. */
export function takeWriteMemory(bytes: number): Buffer {
  if (bytes <= SMALL_BYTES || bytes > WRITE_MEMORY_BYTES) return Buffer.allocUnsafeSlow(bytes)
  return spare.pop() ?? Buffer.allocUnsafeSlow(WRITE_MEMORY_BYTES)
}

/** Nobody uses `memory` any more; whatever is not of the pool's size is let go. */
export function giveWriteMemory(memory: Buffer): void {
  if (memory.length === WRITE_MEMORY_BYTES && spare.length < MAX_SPARE) spare.push(memory)
}

/** A write of bytes in `memory` stays pending; nobody else uses it. */
export function giveWriteMemoryLater(memory: Buffer): void {
  if (memory.length === WRITE_MEMORY_BYTES) lent.set(memory.buffer, memory)
}

/** A pending write of `bytes` is over. */
export function writeIsOver(bytes: Uint8Array): void {
  const memory = lent.get(bytes.buffer)
  if (memory === undefined) return
  lent.delete(bytes.buffer)
  giveWriteMemory(memory)
}

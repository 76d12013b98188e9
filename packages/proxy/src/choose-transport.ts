/** The transport that somebody asked for by name, or the fastest that works here. */
import { createNodeTransport, type PickedTransport, pickTransport } from '@weft/net'

/** `handle` is the fast path over Node's own handles, `net` is public `node:net`. */
export type TransportChoice = 'handle' | 'net'

/** @throws {Error} When the handle transport was asked for and fails its self-test. */
export async function chooseTransport(
  choice: TransportChoice | undefined,
): Promise<PickedTransport> {
  if (choice === 'net') {
    return { transport: createNodeTransport(), fallbackReason: 'asked for by --transport' }
  }
  const picked = await pickTransport()
  if (choice === 'handle' && picked.fallbackReason !== undefined) {
    throw new Error(`Cannot use the handle transport: ${picked.fallbackReason}`)
  }
  return picked
}

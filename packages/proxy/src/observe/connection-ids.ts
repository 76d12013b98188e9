/**
 * Numbers of connections for logs. Given out when a line asks for one first: a connection is known
 * by the value that holds its address, which all of its requests have.
 */
import type { SocketAddress } from '@weft/model'

const ids = new WeakMap<SocketAddress, number>()
let last = 0

/** @param end Of the connection, the same value each time. */
export function connectionIdOf(end: SocketAddress): number {
  const known = ids.get(end)
  if (known !== undefined) return known
  ids.set(end, ++last)
  return last
}

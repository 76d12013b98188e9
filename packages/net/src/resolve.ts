/** Names to addresses, through the system's resolver; literal addresses come back at once. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

export type Resolve = (host: string) => Promise<readonly string[]>

/** @throws The resolver's error (`code` is `ENOTFOUND`, `EAI_AGAIN` …). */
export async function resolveHost(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host]
  const found = await lookup(host, { all: true, verbatim: true })
  // IPv4 first: many hosts announce IPv6 addresses that they cannot be reached at.
  return found.sort((a, b) => a.family - b.family).map(({ address }) => address)
}

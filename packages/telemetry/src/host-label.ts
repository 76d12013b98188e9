/**
 * A request's host as a metric label. Hosts are written by clients, so only what
 * could be a service's name passes; addresses all become one value, because a
 * scan of a subnet is not a thousand services.
 */

import { UNKNOWN } from './peer.ts'

/** What every IP address becomes. */
export const IP_HOST = 'ip-address'

/** @param authority Host and optional port, as sent. */
export function hostLabel(authority: string): string {
  if (authority.length === 0 || authority.length > 261) return UNKNOWN
  const host = withoutPort(authority).toLowerCase()
  if (host.startsWith('[') || isIpLike(host)) return IP_HOST
  return /^(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?$/.test(host) ? host : UNKNOWN
}

function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(':')
  if (colon < 0 || authority.endsWith(']')) return authority
  // More than one colon without brackets is a bare IPv6 address.
  return authority.indexOf(':') === colon ? authority.slice(0, colon) : `[${authority}]`
}

/** Dotted, and whatever else `inet_aton` would take for an address: `0x7f.1`, `2130706433`. */
function isIpLike(host: string): boolean {
  const last = host.slice(host.lastIndexOf('.') + 1)
  return /^(?:\d+|0x[0-9a-f]*)$/.test(last)
}

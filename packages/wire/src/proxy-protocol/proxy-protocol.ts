/**
 * The header that a proxy puts before a connection it relays, so that the next hop knows the
 * client (HAProxy's `proxy-protocol.txt`). Reading is strict: a header decides who a client is.
 */
import {
  ABSENT,
  INCOMPLETE,
  type ProxyAddresses,
  type ProxyHeaderResult,
  type ProxyTlv,
  V2_SIGNATURE,
} from './header.ts'
import { ipToBytes } from './ip-bytes.ts'
import { parseV1, renderV1 } from './v1.ts'
import { parseV2, renderV2 } from './v2.ts'

/** No header is longer: the length of version 2 has 16 bits. */
export const MAX_PROXY_HEADER_BYTES = 65_551

/** Looks at the start of a connection, `bytes[0..length)`; the answer does not depend on how it was cut. */
export function parseProxyHeader(bytes: Uint8Array, length: number): ProxyHeaderResult {
  if (length === 0) return INCOMPLETE
  if (bytes[0] === V2_SIGNATURE[0]) return parseV2(bytes, length)
  return bytes[0] === 0x50 ? parseV1(bytes, length) : ABSENT
}

/**
 * @param addresses `undefined`, or not IP: the sender speaks for itself.
 * @param tlvs Only version 2 can carry them.
 */
export function renderProxyHeader(
  version: 'v1' | 'v2',
  addresses: ProxyAddresses | undefined,
  tlvs: readonly ProxyTlv[] = [],
): Uint8Array {
  const isIp =
    addresses !== undefined &&
    ipToBytes(addresses.source.host) !== undefined &&
    ipToBytes(addresses.destination.host) !== undefined
  const known = isIp ? addresses : undefined
  return version === 'v1' ? renderV1(known) : renderV2(known, tlvs)
}

/** What a PROXY protocol header says (HAProxy's `proxy-protocol.txt`, versions 1 and 2). */

export interface ProxyHeader {
  readonly version: 1 | 2
  /**
   * Of the connection that the sender stands for; absent when it speaks for itself (`LOCAL`) or does
   * not know (`UNKNOWN`, families that are not IP): the connection's own addresses hold then.
   */
  readonly addresses?: ProxyAddresses
  /** In their order; only version 2 has any. Checksum and padding are not among them. */
  readonly tlvs: readonly ProxyTlv[]
}

export interface ProxyAddresses {
  readonly source: IpPort
  readonly destination: IpPort
}

interface IpPort {
  /** An IP address. */
  readonly host: string
  readonly port: number
}

export interface ProxyTlv {
  /** E.g. 0x02: the authority that the client asked for. */
  readonly type: number
  readonly value: Uint8Array
}

export type ProxyHeaderResult =
  /** `length` bytes are the header; what follows is the connection's. */
  | { readonly kind: 'header'; readonly header: ProxyHeader; readonly length: number }
  /** More bytes are needed. */
  | { readonly kind: 'incomplete' }
  /** The connection does not begin with a header. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'invalid'; readonly why: string }

export const INCOMPLETE: ProxyHeaderResult = { kind: 'incomplete' }
export const ABSENT: ProxyHeaderResult = { kind: 'absent' }

export function invalid(why: string): ProxyHeaderResult {
  return { kind: 'invalid', why }
}

/** `\r\n\r\n\0\r\nQUIT\n`: no other protocol begins like this. */
export const V2_SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10)
export const V1_SIGNATURE = 'PROXY '

export const V2_FIXED_BYTES = 16
export const TLV_CRC32C = 0x03
export const TLV_NOOP = 0x04

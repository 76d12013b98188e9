/**
 * The binary form:
 *
 *     signature(12) │ version, command │ family, transport │ length(2) │ addresses │ TLVs
 */
import { crc32c } from './crc32c.ts'
import {
  ABSENT,
  INCOMPLETE,
  invalid,
  type ProxyAddresses,
  type ProxyHeader,
  type ProxyHeaderResult,
  type ProxyTlv,
  TLV_CRC32C,
  TLV_NOOP,
  V2_FIXED_BYTES,
  V2_SIGNATURE,
} from './header.ts'
import { ipFromBytes, ipToBytes, isIpv4, mappedIp } from './ip-bytes.ts'

const LOCAL = 0
const PROXY = 1
/** Bytes of both addresses and ports, by family: unspecified, IPv4, IPv6, Unix. */
const ADDRESS_BYTES = [0, 12, 36, 216] as const
const STREAM = 1
const MAX_TRANSPORT = 2
const TLV_HEADER = 3

/** What is decided by a prefix stays decided, however the input is cut. */
export function parseV2(bytes: Uint8Array, length: number): ProxyHeaderResult {
  for (let i = 0; i < Math.min(length, V2_SIGNATURE.length); i++) {
    if (bytes[i] !== V2_SIGNATURE[i]) return ABSENT
  }
  if (length <= 12) return INCOMPLETE
  const version = (bytes[12] as number) >> 4
  const command = (bytes[12] as number) & 15
  if (version !== 2) return invalid(`version ${version}`)
  if (command !== LOCAL && command !== PROXY) return invalid(`an unknown command, ${command}`)
  if (length <= 13) return INCOMPLETE
  const family = (bytes[13] as number) >> 4
  const transport = (bytes[13] as number) & 15
  const addressBytes = ADDRESS_BYTES[family]
  if (command === PROXY && (addressBytes === undefined || transport > MAX_TRANSPORT)) {
    return invalid(`an unknown address family or transport, ${family} and ${transport}`)
  }
  if (length < V2_FIXED_BYTES) return INCOMPLETE
  const size = ((bytes[14] as number) << 8) | (bytes[15] as number)
  if (command === PROXY && size < (addressBytes ?? 0)) {
    return invalid('it is too short for its addresses')
  }
  const end = V2_FIXED_BYTES + size
  if (length < end) return INCOMPLETE
  // Who speaks for itself may send anything: it is to be passed over.
  if (command === LOCAL) return { kind: 'header', header: { version: 2, tlvs: [] }, length: end }
  const tlvs = parseTlvs(bytes.subarray(0, end), V2_FIXED_BYTES + (addressBytes ?? 0))
  if (typeof tlvs === 'string') return invalid(tlvs)
  const header: ProxyHeader = { version: 2, ...parseAddresses(bytes, family, transport), tlvs }
  return { kind: 'header', header, length: end }
}

function parseAddresses(
  bytes: Uint8Array,
  family: number,
  transport: number,
): { addresses?: ProxyAddresses } {
  const size = family === 1 ? 4 : family === 2 ? 16 : 0
  if (size === 0 || transport === 0) return {}
  const at = V2_FIXED_BYTES
  const ports = at + 2 * size
  const port = (offset: number) => ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number)
  return {
    addresses: {
      source: { host: ipFromBytes(bytes.subarray(at, at + size)), port: port(ports) },
      destination: { host: ipFromBytes(bytes.subarray(at + size, ports)), port: port(ports + 2) },
    },
  }
}

/** @returns Why they are malformed, when they are. */
function parseTlvs(header: Uint8Array, start: number): ProxyTlv[] | string {
  const tlvs: ProxyTlv[] = []
  for (let at = start; at < header.length; ) {
    if (at + TLV_HEADER > header.length) return 'a TLV is cut off'
    const type = header[at] as number
    const size = ((header[at + 1] as number) << 8) | (header[at + 2] as number)
    const from = at + TLV_HEADER
    if (from + size > header.length) return 'a TLV goes past the end of the header'
    const value = Uint8Array.from(header.subarray(from, from + size))
    if (type === TLV_CRC32C) {
      if (size !== 4) return 'its checksum is not four bytes long'
      if (Buffer.from(value).readUInt32BE(0) !== crc32c(header, from))
        return 'its checksum is wrong'
    } else if (type !== TLV_NOOP) tlvs.push({ type, value })
    at = from + size
  }
  return tlvs
}

/** @param addresses `undefined`: the sender speaks for itself, as health checks do. */
export function renderV2(
  addresses: ProxyAddresses | undefined,
  tlvs: readonly ProxyTlv[],
): Uint8Array {
  const block = addresses === undefined ? new Uint8Array() : addressBlock(addresses)
  const family = addresses === undefined ? 0 : ((block.length === 12 ? 1 : 2) << 4) | STREAM
  const extra = tlvs.map(({ type, value }) =>
    Buffer.concat([Uint8Array.of(type, value.length >> 8, value.length & 255), value]),
  )
  const size = block.length + extra.reduce((sum, { length }) => sum + length, 0)
  const command = addresses === undefined ? LOCAL : PROXY
  const fixed = Uint8Array.of((2 << 4) | command, family, size >> 8, size & 255)
  return Buffer.concat([V2_SIGNATURE, fixed, block, ...extra])
}

function addressBlock({ source, destination }: ProxyAddresses): Uint8Array {
  const isBoth4 = isIpv4(source.host) && isIpv4(destination.host)
  const bytesOf = (host: string) => ipToBytes(isBoth4 ? host : mappedIp(host)) ?? new Uint8Array()
  const ports = [source.port, destination.port].flatMap((port) => [port >> 8, port & 255])
  return Buffer.concat([bytesOf(source.host), bytesOf(destination.host), Uint8Array.from(ports)])
}

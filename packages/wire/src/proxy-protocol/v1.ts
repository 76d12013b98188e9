/** The text form: `PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n`. */
import {
  ABSENT,
  INCOMPLETE,
  invalid,
  type ProxyAddresses,
  type ProxyHeaderResult,
  V1_SIGNATURE,
} from './header.ts'
import { ipFromBytes, ipToBytes, isIpv4, mappedIp } from './ip-bytes.ts'

/** With its line end; the longest that version 1 can be. */
const MAX_V1_BYTES = 107

const CR = 13
const LF = 10

/** Goes byte by byte: what is decided by a prefix stays decided, however the input is cut. */
export function parseV1(bytes: Uint8Array, length: number): ProxyHeaderResult {
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] as number
    if (i < V1_SIGNATURE.length) {
      if (byte !== V1_SIGNATURE.charCodeAt(i)) return ABSENT
    } else if (bytes[i - 1] === CR) {
      if (byte !== LF) return invalid('a carriage return in the line')
      return parseLine(Buffer.from(bytes.subarray(0, i - 1)).toString('latin1'), i + 1)
    } else if (byte !== CR && (byte < 0x20 || byte > 0x7e)) {
      return invalid('a byte in the line that is no printable text')
    }
    if (i + 1 >= MAX_V1_BYTES) return invalid(`the line is longer than ${MAX_V1_BYTES} bytes`)
  }
  return INCOMPLETE
}

function parseLine(line: string, length: number): ProxyHeaderResult {
  const [, family, source, destination, sourcePort, destinationPort, ...more] = line.split(' ')
  // Whatever else the sender says then is to be passed over.
  if (family === 'UNKNOWN') return { kind: 'header', header: { version: 1, tlvs: [] }, length }
  if (family !== 'TCP4' && family !== 'TCP6') return invalid('an unknown protocol')
  if (more.length > 0) return invalid('something follows the ports')
  const isAddress = family === 'TCP4' ? isIpv4 : isIpv6
  if (source === undefined || !isAddress(source)) return invalid('a source that is no address')
  if (destination === undefined || !isAddress(destination)) {
    return invalid('a destination that is no address')
  }
  const ports = [sourcePort, destinationPort].map(readPort)
  const [from, to] = ports
  if (from === undefined || to === undefined) return invalid('a port that is no port')
  const addresses = {
    source: { host: plain(source), port: from },
    destination: { host: plain(destination), port: to },
  }
  return { kind: 'header', header: { version: 1, addresses, tlvs: [] }, length }
}

function isIpv6(text: string): boolean {
  return ipToBytes(text)?.length === 16
}

function plain(text: string): string {
  const bytes = ipToBytes(text)
  return bytes === undefined ? text : ipFromBytes(bytes)
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined || !/^(0|[1-9]\d{0,4})$/.test(text)) return undefined
  const port = Number(text)
  return port > 65_535 ? undefined : port
}

/** @param addresses `undefined`: the sender speaks for itself. */
export function renderV1(addresses: ProxyAddresses | undefined): Uint8Array {
  if (addresses === undefined) return Buffer.from('PROXY UNKNOWN\r\n')
  const { source, destination } = addresses
  const isBoth4 = isIpv4(source.host) && isIpv4(destination.host)
  const hosts = isBoth4
    ? `TCP4 ${source.host} ${destination.host}`
    : `TCP6 ${mappedIp(source.host)} ${mappedIp(destination.host)}`
  return Buffer.from(`PROXY ${hosts} ${source.port} ${destination.port}\r\n`)
}

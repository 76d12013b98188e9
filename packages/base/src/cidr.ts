/**
 * IP addresses and ranges of them (RFC 4632, RFC 4291). An IPv4 address written as IPv6
 * (`::ffff:10.0.0.1`) is that IPv4 address: a socket that takes both families reports it so, and
 * a range must not be passed by spelling.
 */

/** 4 or 16 octets, network order. */
export type IpOctets = readonly number[]

export interface Cidr {
  readonly network: IpOctets
  /** Leading bits that count. */
  readonly bits: number
}

const V4_OCTETS = 4
const V6_GROUPS = 8
const DECIMAL_OCTET = /^(?:0|[1-9]\d{0,2})$/
const HEX_GROUP = /^[0-9A-Fa-f]{1,4}$/
const PREFIX_LENGTH = /^(?:0|[1-9]\d{0,2})$/
/** `::ffff:0:0/96`. */
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

/** `undefined` for what is no address; a zone (`%eth0`) is none of the address. */
export function parseIp(text: string): IpOctets | undefined {
  const zone = text.indexOf('%')
  const address = zone === -1 ? text : text.slice(0, zone)
  const octets = address.includes(':') ? parseV6(address) : parseV4(address)
  return octets === undefined ? undefined : unmapped(octets)
}

/** An address alone is the range of itself. `undefined` for what is no range. */
export function parseCidr(text: string): Cidr | undefined {
  const [address = '', length, ...more] = text.split('/')
  const raw = address.includes(':') ? parseV6(address) : parseV4(address)
  if (raw === undefined || more.length > 0) return undefined
  const widest = raw.length * 8
  if (length !== undefined && !PREFIX_LENGTH.test(length)) return undefined
  const bits = length === undefined ? widest : Number(length)
  if (bits > widest) return undefined
  const network = unmapped(raw)
  // A range wider than the mapped ones stays what it is: it holds IPv6 addresses as well.
  if (network.length === raw.length) return { network, bits }
  const mappedBits = bits - MAPPED.length * 8
  return mappedBits >= 0 ? { network, bits: mappedBits } : { network: raw, bits }
}

export function cidrContains({ network, bits }: Cidr, address: IpOctets): boolean {
  const octets = network.length > address.length ? [...MAPPED, ...address] : address
  if (network.length !== octets.length) return false
  const whole = bits >> 3
  for (let i = 0; i < whole; i++) if (network[i] !== octets[i]) return false
  const rest = bits & 7
  if (rest === 0) return true
  const mask = (0xff << (8 - rest)) & 0xff
  return ((network[whole] as number) & mask) === ((octets[whole] as number) & mask)
}

function parseV4(text: string): IpOctets | undefined {
  const parts = text.split('.')
  if (parts.length !== V4_OCTETS) return undefined
  const octets: number[] = []
  for (const part of parts) {
    // A leading zero is octal to some and decimal to others.
    if (!DECIMAL_OCTET.test(part) || Number(part) > 255) return undefined
    octets.push(Number(part))
  }
  return octets
}

function parseV6(text: string): IpOctets | undefined {
  const [head = '', tail, ...more] = text.split('::')
  if (more.length > 0) return undefined
  const left = groupsOf(head, tail === undefined)
  const right = tail === undefined ? [] : groupsOf(tail, true)
  if (left === undefined || right === undefined) return undefined
  const missing = 2 * V6_GROUPS - left.length - right.length
  if (tail === undefined) return missing === 0 ? left : undefined
  if (missing < 2) return undefined
  return [...left, ...new Array<number>(missing).fill(0), ...right]
}

/** @param isEnd Whether the last group may be an IPv4 address. */
function groupsOf(text: string, isEnd: boolean): number[] | undefined {
  if (text === '') return []
  const parts = text.split(':')
  const octets: number[] = []
  for (const [i, part] of parts.entries()) {
    if (part.includes('.')) {
      const v4 = isEnd && i === parts.length - 1 ? parseV4(part) : undefined
      if (v4 === undefined) return undefined
      octets.push(...v4)
    } else {
      if (!HEX_GROUP.test(part)) return undefined
      const value = Number.parseInt(part, 16)
      octets.push(value >> 8, value & 0xff)
    }
  }
  return octets
}

function unmapped(octets: IpOctets): IpOctets {
  const isMapped = octets.length === 16 && MAPPED.every((octet, i) => octets[i] === octet)
  return isMapped ? octets.slice(MAPPED.length) : octets
}

/** IP addresses as text and as bytes in network order. */

const MAPPED = '::ffff:'
const IPV4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/
const GROUP = /^[0-9a-fA-F]{1,4}$/

/** 4 or 16 bytes; `undefined` when it is no IP address in the form that RFC 4291 or 6943 allows. */
export function ipToBytes(text: string): Uint8Array | undefined {
  if (!text.includes(':')) return ipv4ToBytes(text)
  const [head = '', tail, ...more] = text.split('::')
  if (more.length > 0) return undefined
  const before = groupsOf(head, tail === undefined)
  const after = groupsOf(tail ?? '', true)
  if (before === undefined || after === undefined) return undefined
  const zeros = 8 - before.length - after.length
  if (tail === undefined ? zeros !== 0 : zeros < 1) return undefined
  const groups = [...before, ...new Array<number>(zeros).fill(0), ...after]
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255]))
}

function ipv4ToBytes(text: string): Uint8Array | undefined {
  const parts = IPV4.exec(text)?.slice(1)
  if (parts === undefined) return undefined
  // A leading zero is octal to some, so it is no address to us.
  if (parts.some((part) => Number(part) > 255 || (part.length > 1 && part.startsWith('0')))) {
    return undefined
  }
  return Uint8Array.from(parts, Number)
}

/** @param mayEndDotted The last 32 bits of an IPv6 address may be written as IPv4. */
function groupsOf(text: string, mayEndDotted: boolean): number[] | undefined {
  if (text === '') return []
  const words = text.split(':')
  const groups: number[] = []
  for (const [i, word] of words.entries()) {
    const dotted = mayEndDotted && i === words.length - 1 ? ipv4ToBytes(word) : undefined
    if (dotted !== undefined) {
      const [a = 0, b = 0, c = 0, d = 0] = dotted
      groups.push((a << 8) | b, (c << 8) | d)
    } else if (GROUP.test(word)) groups.push(Number.parseInt(word, 16))
    else return undefined
  }
  return groups
}

export function isIpv4(text: string): boolean {
  return ipv4ToBytes(text) !== undefined
}

/** The form of RFC 5952; IPv4 in IPv6 is shown as IPv4. */
export function ipFromBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const groups = Array.from(
    { length: 8 },
    (_, i) => ((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number),
  )
  const { start, length } = longestZeros(groups)
  const hex = groups.map((group) => group.toString(16))
  if (start === 0 && length >= 5 && groups[5] === 0xffff) return bytes.subarray(12).join('.')
  if (length < 2) return hex.join(':')
  return `${hex.slice(0, start).join(':')}::${hex.slice(start + length).join(':')}`
}

/** An IPv4 address as IPv6 has it. */
export function mappedIp(text: string): string {
  return isIpv4(text) ? `${MAPPED}${text}` : text
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: -1, length: 0 }
  let start = 0
  for (const [i, group] of groups.entries()) {
    if (group !== 0) start = i + 1
    else if (i + 1 - start > best.length) best = { start, length: i + 1 - start }
  }
  return best
}

/** IP addresses and ranges as Go's `netip` and Kubernetes read them: no leading zeros, no blanks. */

export type IpFamily = 'IPv4' | 'IPv6'

/** The family of an address; a zone such as `fe80::1%eth0` is allowed for IPv6. */
export function ipFamily(text: string): IpFamily | undefined {
  if (isIpv4(text)) return 'IPv4'
  const percent = text.indexOf('%')
  if (percent === -1) return isIpv6(text) ? 'IPv6' : undefined
  return percent < text.length - 1 && isIpv6(text.slice(0, percent)) ? 'IPv6' : undefined
}

/** `10.0.0.0/8`; the address part without a zone. */
export function isCidr(text: string): boolean {
  const slash = text.indexOf('/')
  if (slash === -1) return false
  const bits = text.slice(slash + 1)
  const address = text.slice(0, slash)
  if (!/^(0|[1-9]\d{0,2})$/.test(bits) || address.includes('%')) return false
  const family = ipFamily(address)
  return family !== undefined && Number(bits) <= (family === 'IPv4' ? 32 : 128)
}

export function isIpOrCidr(text: string): boolean {
  return text.includes('/') ? isCidr(text) : ipFamily(text) !== undefined
}

function isIpv4(text: string): boolean {
  if (text.length > 15) return false
  const parts = text.split('.')
  return (
    parts.length === 4 &&
    parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255)
  )
}

function isIpv6(text: string): boolean {
  if (text.length > 45 || !text.includes(':')) return false
  const gap = text.indexOf('::')
  if (gap !== text.lastIndexOf('::') || text.includes(':::')) return false
  if (gap === -1) return groupsOf(text) === 8
  const before = gap === 0 ? 0 : groupsOf(text.slice(0, gap), false)
  const rest = text.slice(gap + 2)
  const after = rest === '' ? 0 : groupsOf(rest)
  return before + after <= 7
}

/** How many 16-bit groups the text holds; a dotted IPv4 tail counts as two. `NaN` if it is none. */
function groupsOf(text: string, mayEndInIpv4 = true): number {
  const parts = text.split(':')
  const last = parts.at(-1) ?? ''
  if (mayEndInIpv4 && last.includes('.')) {
    const head = parts.slice(0, -1)
    return isIpv4(last) && head.every(isGroup) ? head.length + 2 : Number.NaN
  }
  return parts.every(isGroup) ? parts.length : Number.NaN
}

function isGroup(text: string): boolean {
  return /^[0-9a-fA-F]{1,4}$/.test(text)
}

/** `/run/app.sock` or the abstract `@name`: what may follow `unix://`. */
export function unixPathProblem(path: string): string | undefined {
  if (path.startsWith('@')) return undefined
  if (path.startsWith('/') && !path.endsWith('/')) return undefined
  return `must be an absolute path to a file after unix://, or @name, got "${path}"`
}

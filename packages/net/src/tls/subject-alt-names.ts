/**
 * The subject alternative names of a certificate, from its DER bytes. Node's own
 * text form of them is not used: names with separators or NUL inside have been
 * taken for others there (CVE-2021-44531 to 44533), and so in Envoy (CVE-2025-66220).
 *
 * A name counts only under the type it was issued with. One that could be read
 * in two ways (NUL, control or non-ASCII bytes, a wrong length) makes the whole
 * certificate nameless: who issues such names is not to be believed about others.
 */

export interface SubjectAltNames {
  readonly uri: readonly string[]
  readonly dns: readonly string[]
  readonly email: readonly string[]
  readonly ip: readonly string[]
}

const NO_NAMES: SubjectAltNames = { uri: [], dns: [], email: [], ip: [] }

const SEQUENCE = 0x30
const OCTET_STRING = 0x04
const OBJECT_ID = 0x06
const BOOLEAN = 0x01
/** Extensions are `[3] EXPLICIT` in TBSCertificate. */
const EXTENSIONS = 0xa3
const SUBJECT_ALT_NAME = Buffer.from([0x55, 0x1d, 0x11])

const RFC822_NAME = 0x81
const DNS_NAME = 0x82
const URI = 0x86
const IP_ADDRESS = 0x87
const MAX_NAMES = 1_024

/** Never throws: what is not a certificate has no names. */
export function subjectAltNames(certificate: Uint8Array): SubjectAltNames {
  try {
    const value = findExtension(certificate)
    return value === undefined ? NO_NAMES : readNames(value)
  } catch (error) {
    if (error instanceof DerError) return NO_NAMES
    throw error
  }
}

class DerError extends Error {}

/** One element: `bytes[start..end)` is its content. */
interface Element {
  readonly tag: number
  readonly start: number
  readonly end: number
}

function readElement(bytes: Uint8Array, at: number, limit: number): Element {
  if (at + 2 > limit) throw new DerError('Cannot read past the end')
  const tag = bytes[at] as number
  // Numbers above 30 take more bytes and do not occur in certificates.
  if ((tag & 0x1f) === 0x1f) throw new DerError('Cannot read a long tag')
  const first = bytes[at + 1] as number
  let start = at + 2
  let length = first
  if (first >= 0x80) {
    const count = first & 0x7f
    if (count === 0 || count > 4 || start + count > limit) throw new DerError('Bad length')
    length = 0
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[start + i] as number)
    // DER allows only the shortest form.
    if (length < 0x80 || (count > 1 && bytes[start] === 0)) throw new DerError('Length is not DER')
    start += count
  }
  if (start + length > limit) throw new DerError('Element is longer than what holds it')
  return { tag, start, end: start + length }
}

function expect(bytes: Uint8Array, at: number, limit: number, tag: number): Element {
  const element = readElement(bytes, at, limit)
  if (element.tag !== tag) throw new DerError(`Tag is not ${tag}`)
  return element
}

/** The content of the extension's OCTET STRING. */
function findExtension(bytes: Uint8Array): Uint8Array | undefined {
  const certificate = expect(bytes, 0, bytes.length, SEQUENCE)
  const tbs = expect(bytes, certificate.start, certificate.end, SEQUENCE)
  for (let at = tbs.start; at < tbs.end; ) {
    const part = readElement(bytes, at, tbs.end)
    at = part.end
    if (part.tag !== EXTENSIONS) continue
    return findIn(bytes, expect(bytes, part.start, part.end, SEQUENCE))
  }
  return undefined
}

function findIn(bytes: Uint8Array, list: Element): Uint8Array | undefined {
  let found: Uint8Array | undefined
  for (let at = list.start; at < list.end; ) {
    const extension = expect(bytes, at, list.end, SEQUENCE)
    at = extension.end
    const id = expect(bytes, extension.start, extension.end, OBJECT_ID)
    if (!SUBJECT_ALT_NAME.equals(bytes.subarray(id.start, id.end))) continue
    // A certificate has each extension once (RFC 5280, section 4.2).
    if (found !== undefined) throw new DerError('Extension comes twice')
    let value = readElement(bytes, id.end, extension.end)
    if (value.tag === BOOLEAN) value = readElement(bytes, value.end, extension.end)
    if (value.tag !== OCTET_STRING || value.end !== extension.end) {
      throw new DerError('Extension has no value')
    }
    found = bytes.subarray(value.start, value.end)
  }
  return found
}

function readNames(bytes: Uint8Array): SubjectAltNames {
  const names = {
    uri: [] as string[],
    dns: [] as string[],
    email: [] as string[],
    ip: [] as string[],
  }
  const list = expect(bytes, 0, bytes.length, SEQUENCE)
  if (list.end !== bytes.length) throw new DerError('Something follows the names')
  let count = 0
  for (let at = list.start; at < list.end; ) {
    const name = readElement(bytes, at, list.end)
    at = name.end
    if (++count > MAX_NAMES) throw new DerError('Too many names')
    const value = bytes.subarray(name.start, name.end)
    if (name.tag === DNS_NAME) names.dns.push(asciiText(value))
    else if (name.tag === URI) names.uri.push(asciiText(value))
    else if (name.tag === RFC822_NAME) names.email.push(asciiText(value))
    else if (name.tag === IP_ADDRESS) names.ip.push(ipText(value))
    // otherName, directoryName and the rest are nothing that anybody here matches.
  }
  return names
}

function asciiText(bytes: Uint8Array): string {
  if (bytes.length === 0) throw new DerError('Name is empty')
  let text = ''
  for (const byte of bytes) {
    if (byte <= 0x20 || byte >= 0x7f) throw new DerError('Name has a byte that no name has')
    text += String.fromCharCode(byte)
  }
  return text
}

function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) throw new DerError('Address has a wrong length')
  const groups = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number)).toString(16),
  )
  // One spelling per address: what a URL parser makes of it.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}

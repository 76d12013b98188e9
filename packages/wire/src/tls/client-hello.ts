/**
 * What a client says before encryption begins (RFC 8446, section 4.1.2): whom it
 * wants to talk to and in which protocol. The message may be spread over records
 * and segments; key shares of post-quantum groups alone fill more than one.
 */

export interface ClientHello {
  /** Lower case, without a final dot; absent when the client named none. */
  readonly serverName: string | undefined
  readonly alpn: readonly string[]
  /** E.g. 0x0304; from `supported_versions`, else the one legacy version. */
  readonly versions: readonly number[]
}

export type ClientHelloResult =
  | { readonly kind: 'hello'; readonly hello: ClientHello }
  /** More bytes are needed. */
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly why: string }

/** With record headers; no honest client comes near. */
export const MAX_CLIENT_HELLO_BYTES = 65_536

const RECORD_HEADER = 5
const MAX_RECORD = 16_384
const HANDSHAKE = 22
const CLIENT_HELLO = 1
const SERVER_NAME = 0
const ALPN = 16
const SUPPORTED_VERSIONS = 43
const INCOMPLETE: ClientHelloResult = { kind: 'incomplete' }

class Invalid extends Error {}

/** Looks at the start of a connection, `bytes[0..length)`; the answer does not depend on how it was cut. */
export function parseClientHello(bytes: Uint8Array, length: number): ClientHelloResult {
  try {
    const message = joinRecords(bytes, length)
    if (message === undefined) {
      if (length >= MAX_CLIENT_HELLO_BYTES) throw new Invalid('it is longer than 65536 bytes')
      return INCOMPLETE
    }
    return { kind: 'hello', hello: readHello(new Reader(message, 0, message.length)) }
  } catch (error) {
    if (error instanceof Invalid) return { kind: 'invalid', why: error.message }
    throw error
  }
}

/** The body of the first handshake message; `undefined` while it is not all there. */
function joinRecords(bytes: Uint8Array, length: number): Uint8Array | undefined {
  const fragments: Uint8Array[] = []
  let have = 0
  let wanted = -1
  for (let at = 0; at < length; ) {
    if (bytes[at] !== HANDSHAKE) throw new Invalid('it is no handshake record')
    if (at + 1 < length && bytes[at + 1] !== 3) throw new Invalid('its record version is unknown')
    if (at + RECORD_HEADER > length) return undefined
    const size = ((bytes[at + 3] as number) << 8) | (bytes[at + 4] as number)
    if (size === 0 || size > MAX_RECORD) throw new Invalid('a record has a length of no record')
    const start = at + RECORD_HEADER
    const end = Math.min(start + size, length)
    const fragment = bytes.subarray(start, end)
    fragments.push(fragment)
    have += fragment.length
    if (wanted < 0 && have > 0) wanted = messageLength(fragments, have)
    if (wanted >= 0 && have >= wanted) {
      return Buffer.concat(fragments, have).subarray(4, wanted)
    }
    at = start + size
  }
  return undefined
}

/** With its four bytes of header; -1 while these are not all there. */
function messageLength(fragments: readonly Uint8Array[], have: number): number {
  const start = Buffer.concat(fragments, Math.min(have, 4))
  if (start[0] !== CLIENT_HELLO) throw new Invalid('its first message is no ClientHello')
  if (have < 4) return -1
  const size = start.readUIntBE(1, 3)
  if (size + 4 > MAX_CLIENT_HELLO_BYTES) throw new Invalid('it is longer than 65536 bytes')
  return size + 4
}

/** Reads within bounds, or throws. */
class Reader {
  readonly #bytes: Uint8Array
  #at: number
  readonly #end: number

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes
    this.#at = at
    this.#end = end
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end
  }

  number(size: 1 | 2): number {
    const at = this.#take(size)
    const first = this.#bytes[at] as number
    return size === 1 ? first : (first << 8) | (this.#bytes[at + 1] as number)
  }

  skip(size: number): void {
    this.#take(size)
  }

  /** A vector: its length in `size` bytes, then as many. */
  vector(size: 1 | 2): Reader {
    const length = this.number(size)
    const at = this.#take(length)
    return new Reader(this.#bytes, at, at + length)
  }

  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at, this.#end)
  }

  #take(size: number): number {
    const at = this.#at
    if (at + size > this.#end) throw new Invalid('a length in it goes past its end')
    this.#at = at + size
    return at
  }
}

function readHello(reader: Reader): ClientHello {
  const legacyVersion = reader.number(2)
  reader.skip(32)
  reader.vector(1)
  reader.vector(2)
  reader.vector(1)
  let serverName: string | undefined
  let alpn: string[] = []
  let versions = [legacyVersion]
  if (reader.isAtEnd) return { serverName, alpn, versions }
  const extensions = reader.vector(2)
  if (!reader.isAtEnd) throw new Invalid('something follows its extensions')
  const seen = new Set<number>()
  while (!extensions.isAtEnd) {
    const type = extensions.number(2)
    const value = extensions.vector(2)
    if (seen.has(type)) throw new Invalid('an extension comes twice')
    seen.add(type)
    if (type === SERVER_NAME) serverName = readServerName(value)
    else if (type === ALPN) alpn = readAlpn(value)
    else if (type === SUPPORTED_VERSIONS) versions = readVersions(value)
  }
  return { serverName, alpn, versions }
}

function readServerName(value: Reader): string | undefined {
  const list = value.vector(2)
  if (!value.isAtEnd || list.isAtEnd) throw new Invalid('its server name is malformed')
  let found: string | undefined
  while (!list.isAtEnd) {
    const type = list.number(1)
    const name = list.vector(2).rest()
    if (type !== 0) continue
    if (found !== undefined) throw new Invalid('it names two servers')
    found = hostName(name)
  }
  return found
}

function hostName(bytes: Uint8Array): string {
  if (bytes.length === 0 || bytes.length > 255) throw new Invalid('its server name is malformed')
  for (const byte of bytes) {
    if (byte <= 0x20 || byte >= 0x7f) throw new Invalid('its server name is malformed')
  }
  return Buffer.from(bytes).toString('latin1').toLowerCase().replace(/\.$/, '')
}

function readAlpn(value: Reader): string[] {
  const list = value.vector(2)
  if (!value.isAtEnd || list.isAtEnd) throw new Invalid('its protocols are malformed')
  const names: string[] = []
  while (!list.isAtEnd) {
    const name = list.vector(1).rest()
    if (name.length === 0) throw new Invalid('its protocols are malformed')
    names.push(Buffer.from(name).toString('latin1'))
  }
  return names
}

function readVersions(value: Reader): number[] {
  const list = value.vector(1)
  const versions: number[] = []
  while (!list.isAtEnd) versions.push(list.number(2))
  return versions
}

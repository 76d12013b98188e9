/** Which protocol do the first bytes of a connection speak? */

export type FirstBytes =
  | 'http1'
  /** HTTP/2 with prior knowledge. */
  | 'http2'
  | 'tls'
  /** None of these. */
  | 'unknown'
  /** More bytes are needed to tell. */
  | 'undecided'

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const TLS_HANDSHAKE = 0x16
/** Longer first words are no method anybody uses. */
const MAX_METHOD_BYTES = 24

/** Never `undecided` once `MAX_METHOD_BYTES` are there. */
export function detectProtocol(bytes: Uint8Array, length: number): FirstBytes {
  if (length === 0) return 'undecided'
  if (bytes[0] === TLS_HANDSHAKE) {
    if (length < 2) return 'undecided'
    return bytes[1] === 3 ? 'tls' : 'unknown'
  }
  const preface = matchPreface(bytes, length)
  if (preface !== 'unknown') return preface
  for (let i = 0; i < length; i++) {
    const byte = bytes[i] as number
    if (i > 0 && byte === 0x20) return 'http1'
    const letter = (byte >= 0x41 && byte <= 0x5a) || byte === 0x2d
    if (!letter || i >= MAX_METHOD_BYTES) return 'unknown'
  }
  return 'undecided'
}

function matchPreface(bytes: Uint8Array, length: number): FirstBytes {
  const ready = Math.min(length, PREFACE.length)
  for (let i = 0; i < ready; i++) if (bytes[i] !== PREFACE.charCodeAt(i)) return 'unknown'
  // `P` alone may still become POST.
  return ready === PREFACE.length ? 'http2' : 'undecided'
}

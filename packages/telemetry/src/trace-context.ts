/**
 * Which trace a request belongs to, from the headers that applications pass on:
 * W3C Trace Context (`traceparent`) and B3, single and multi header. The proxy
 * forwards these headers untouched; this file only reads them, for logs.
 */

export interface TraceContext {
  /** 32 lower-case hexadecimal digits; B3's 64-bit ids are padded on the left. */
  readonly traceId: string
  /** 16 lower-case hexadecimal digits; who sent the request. */
  readonly parentId: string
  /** `undefined`: the sender left the decision to others. */
  readonly sampled: boolean | undefined
}

/**
 * The context of a request. W3C wins when several are present, then B3's single
 * header, as their specifications ask.
 *
 * @param header The value of a header by its lower-case name.
 */
export function readTraceContext(
  header: (name: string) => string | undefined,
): TraceContext | undefined {
  return (
    parseTraceparent(header('traceparent')) ??
    parseB3(header('b3')) ??
    readB3Headers(
      header('x-b3-traceid'),
      header('x-b3-spanid'),
      header('x-b3-sampled'),
      header('x-b3-flags'),
    )
  )
}

/** The trace's id alone; hot path of the access log, so the usual header is checked by hand. */
export function readTraceId(header: (name: string) => string | undefined): string | undefined {
  const text = header('traceparent')
  if (text !== undefined && isPlainTraceparent(text)) return text.slice(3, 35)
  return readTraceContext(header)?.traceId
}

/** Version 00 and valid; whatever is not may still be valid. */
function isPlainTraceparent(text: string): boolean {
  if (text.length !== 55 || !text.startsWith('00-')) return false
  if (text.charCodeAt(35) !== DASH || text.charCodeAt(52) !== DASH) return false
  return isHexId(text, 3, 35) && isHexId(text, 36, 52) && isHex(text, 53) && isHex(text, 54)
}

const DASH = 0x2d

/** Lower-case hexadecimal digits, not all zero. */
function isHexId(text: string, from: number, to: number): boolean {
  let zero = true
  for (let i = from; i < to; i++) {
    if (!isHex(text, i)) return false
    if (text.charCodeAt(i) !== 0x30) zero = false
  }
  return !zero
}

function isHex(text: string, at: number): boolean {
  const code = text.charCodeAt(at)
  return (code >= 0x30 && code <= 0x39) || (code >= 0x61 && code <= 0x66)
}

/** `00-<32 hex>-<16 hex>-<2 hex>`; later versions may append fields (W3C Trace Context, section 3.2). */
export function parseTraceparent(text: string | undefined): TraceContext | undefined {
  if (text === undefined || text.length > 256) return undefined
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/.exec(text)
  if (match === null) return undefined
  const [, version = '', traceId = '', parentId = '', flags = '', more] = match
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined
  if (isZero(traceId) || isZero(parentId)) return undefined
  return { traceId, parentId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** `<16 or 32 hex>-<16 hex>[-<0|1|d>[-<16 hex>]]`. A bare `0` says only "not sampled" and names no trace. */
export function parseB3(text: string | undefined): TraceContext | undefined {
  if (text === undefined || text.length > 128) return undefined
  const match = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$/i.exec(
    text,
  )
  if (match === null) return undefined
  return b3Context(match[1] ?? '', match[2] ?? '', b3Sampled(match[3]))
}

function readB3Headers(
  traceId: string | undefined,
  spanId: string | undefined,
  sampled: string | undefined,
  flags: string | undefined,
): TraceContext | undefined {
  if (traceId === undefined || spanId === undefined) return undefined
  if (!/^(?:[0-9a-f]{16}|[0-9a-f]{32})$/i.test(traceId) || !/^[0-9a-f]{16}$/i.test(spanId)) {
    return undefined
  }
  return b3Context(traceId, spanId, flags === '1' ? true : b3Sampled(sampled))
}

function b3Context(
  traceId: string,
  spanId: string,
  sampled: boolean | undefined,
): TraceContext | undefined {
  if (isZero(traceId) || isZero(spanId)) return undefined
  return {
    traceId: traceId.toLowerCase().padStart(32, '0'),
    parentId: spanId.toLowerCase(),
    sampled,
  }
}

function b3Sampled(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  if (text === '1' || text === 'd' || text === 'true') return true
  return text === '0' || text === 'false' ? false : undefined
}

function isZero(hex: string): boolean {
  return /^0+$/.test(hex)
}

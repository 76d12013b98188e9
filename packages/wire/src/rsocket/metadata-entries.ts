/**
 * The contents of the metadata entries that the extensions define: routing tags (0x7E), the MIME
 * types of a stream (0x7A, 0x7B), authentication (0x7C) and Zipkin's tracing (0x7D). Each reader
 * says undefined for content that is not of its form: INVALID on that stream.
 */
import { renderMime } from './composite-metadata.ts'
import { mimeName } from './mime-types.ts'

/** Tags of 0 to 255 bytes each; the first is the route. */
export function readRoutingTags(content: Uint8Array): string[] | undefined {
  const tags: string[] = []
  for (let at = 0; at < content.length; ) {
    const end = at + 1 + (content[at] as number)
    if (end > content.length) return undefined
    tags.push(utf8(content, at + 1, end))
    at = end
  }
  return tags
}

/** Throws a RangeError for a tag of more than 255 bytes. */
export function renderRoutingTags(tags: readonly string[]): Buffer {
  return Buffer.concat(
    tags.flatMap((tag) => {
      const text = Buffer.from(tag)
      if (text.length > 255) {
        throw new RangeError(`Cannot render a routing tag: at most 255 bytes, got ${text.length}`)
      }
      return [Buffer.of(text.length), text]
    }),
  )
}

/** The types of 0x7A (one) and 0x7B (any number). An id that nobody assigned reads as `0x…`. */
export function readMimes(content: Uint8Array): string[] | undefined {
  const mimes: string[] = []
  for (let at = 0; at < content.length; ) {
    const first = content[at] as number
    if (first >= 0x80) {
      mimes.push(mimeName(first & 0x7f) ?? `0x${(first & 0x7f).toString(16)}`)
      at += 1
      continue
    }
    const end = at + first + 2
    if (end > content.length) return undefined
    mimes.push(utf8(content, at + 1, end))
    at = end
  }
  return mimes
}

export function renderMimes(mimes: readonly string[]): Buffer {
  return Buffer.concat(mimes.map(renderMime))
}

export type RSocketCredentials =
  | { readonly type: 'bearer'; readonly token: string }
  | { readonly type: 'simple'; readonly user: string; readonly password: string }
  | { readonly type: 'other'; readonly name: string; readonly payload: Uint8Array }

const AUTH_SIMPLE = 0x80
const AUTH_BEARER = 0x81

export function readAuthentication(content: Uint8Array): RSocketCredentials | undefined {
  const first = content[0]
  if (first === undefined) return undefined
  if (first === AUTH_BEARER) return { type: 'bearer', token: utf8(content, 1, content.length) }
  if (first === AUTH_SIMPLE) {
    if (content.length < 3) return undefined
    const end = 3 + (((content[1] as number) << 8) | (content[2] as number))
    if (end > content.length) return undefined
    return {
      type: 'simple',
      user: utf8(content, 3, end),
      password: utf8(content, end, content.length),
    }
  }
  const end = first >= 0x80 ? 1 : first + 2
  if (end > content.length) return undefined
  const name = first >= 0x80 ? `0x${(first & 0x7f).toString(16)}` : utf8(content, 1, end)
  return { type: 'other', name, payload: Buffer.from(content.subarray(end)) }
}

export function renderBearer(token: string): Buffer {
  return Buffer.concat([Buffer.of(AUTH_BEARER), Buffer.from(token)])
}

/** The user name is at most 65,535 bytes. */
export function renderSimple(user: string, password: string): Buffer {
  const name = Buffer.from(user)
  const head = Buffer.of(AUTH_SIMPLE, name.length >>> 8, name.length & 0xff)
  if (name.length > 0xffff) {
    throw new RangeError(`Cannot render a user name: at most 65535 bytes, got ${name.length}`)
  }
  return Buffer.concat([head, name, Buffer.from(password)])
}

/** Zipkin's ids as they travel in 0x7D; `bytes` positions let a broker overwrite them in place. */
export interface ZipkinTrace {
  readonly sampling: 'debug' | 'sample' | 'drop' | 'undecided'
  /** 16 or 32 hexadecimal digits. */
  readonly traceId: string
  readonly spanId: string
  readonly parentId: string | undefined
  /** Where in the content the span id begins. */
  readonly spanAt: number
}

const TRACE = { ids: 0x80, debug: 0x40, sample: 0x20, drop: 0x10, wide: 0x08, parent: 0x04 }

/** Undefined also when the entry only tells a sampling decision and no ids. */
export function readZipkin(content: Uint8Array): ZipkinTrace | undefined {
  const flags = content[0]
  if (flags === undefined || (flags & TRACE.ids) === 0) return undefined
  const spanAt = 1 + ((flags & TRACE.wide) === 0 ? 8 : 16)
  const parentAt = spanAt + 8
  const end = (flags & TRACE.parent) === 0 ? parentAt : parentAt + 8
  if (end > content.length) return undefined
  const hex = (from: number, to: number) => Buffer.from(content.subarray(from, to)).toString('hex')
  return {
    sampling: samplingOf(flags),
    traceId: hex(1, spanAt),
    spanId: hex(spanAt, parentAt),
    parentId: end === parentAt ? undefined : hex(parentAt, end),
    spanAt,
  }
}

function samplingOf(flags: number): ZipkinTrace['sampling'] {
  if ((flags & TRACE.debug) !== 0) return 'debug'
  if ((flags & TRACE.sample) !== 0) return 'sample'
  return (flags & TRACE.drop) === 0 ? 'undecided' : 'drop'
}

const SAMPLING_FLAG = { debug: TRACE.debug, sample: TRACE.sample, drop: TRACE.drop, undecided: 0 }

export function renderZipkin(trace: Omit<ZipkinTrace, 'spanAt'>): Buffer {
  const flags =
    TRACE.ids |
    SAMPLING_FLAG[trace.sampling] |
    (trace.traceId.length === 32 ? TRACE.wide : 0) |
    (trace.parentId === undefined ? 0 : TRACE.parent)
  const ids = trace.traceId + trace.spanId + (trace.parentId ?? '')
  return Buffer.concat([Buffer.of(flags), Buffer.from(ids, 'hex')])
}

function utf8(content: Uint8Array, from: number, to: number): string {
  return Buffer.from(content.buffer, content.byteOffset + from, to - from).toString('utf8')
}

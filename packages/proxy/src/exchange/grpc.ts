/** What gRPC adds to HTTP (its `PROTOCOL-HTTP2.md`): deadlines, a status of its own, messages in bodies. */
import { ascii, equalsIgnoreCase } from '@weft/wire'
import type { LocalReply } from './write-response.ts'

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
}

export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:$|[+;])/i.test(contentType)
}

/** `grpc-timeout` in milliseconds, rounded up so that a wish for little is not one for no limit. */
export function parseGrpcTimeout(text: string | undefined): number | undefined {
  const found = text === undefined ? null : /^(\d{1,8})([HMSmun])$/.exec(text)
  if (found === null) return undefined
  return Math.max(1, Math.ceil(Number(found[1]) * (UNIT_MS[found[2] ?? ''] ?? 0)))
}

const MAX_DIGITS_VALUE = 99_999_999

export function renderGrpcTimeout(ms: number): string {
  const whole = Math.max(1, Math.round(ms))
  return whole <= MAX_DIGITS_VALUE
    ? `${whole}m`
    : `${Math.min(Math.floor(whole / 1_000), MAX_DIGITS_VALUE)}S`
}

/** As Envoy maps statuses of HTTP, in answers that it makes itself too. */
const STATUS_OF_HTTP: Readonly<Record<number, number>> = {
  400: 13,
  401: 16,
  403: 7,
  404: 12,
  429: 14,
  502: 14,
  503: 14,
  504: 14,
}
const UNKNOWN = 2

/** The gRPC status that an HTTP status stands for when the answer says none. */
export function grpcStatusOfHttp(status: number): number {
  return STATUS_OF_HTTP[status] ?? UNKNOWN
}

/** The same answer as gRPC clients understand it: HTTP 200, and trailers only. */
export function asGrpcReply(
  { status, body = '', headers = [] }: LocalReply,
  contentType = 'application/grpc',
): LocalReply {
  if (headers.some(([name]) => name === 'grpc-status')) return { status, headers }
  const message = body.trimEnd()
  return {
    status: 200,
    headers: [
      ...headers.filter(([name]) => name !== 'content-type'),
      ['content-type', contentType],
      ['grpc-status', String(grpcStatusOfHttp(status))],
      ...(message === '' ? [] : [['grpc-message', percentEncoded(message)] as const]),
    ],
  }
}

function percentEncoded(text: string): string {
  let encoded = ''
  for (const byte of Buffer.from(text, 'utf8')) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25
    encoded += plain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return encoded
}

const STATUS_NAME = ascii('grpc-status:')
const MAX_STATUS_DIGITS = 3
const LF = 0x0a
const ZERO = 0x30
const DIGITS = '0123456789'

/** Up to three digits of `grpc-status` in lines of trailers; nearly always it is one. */
export function grpcStatusIn(lines: Buffer, length: number): string | undefined {
  for (let at = 0; at < length; at = lines.indexOf(LF, at) + 1 || length) {
    const end = at + STATUS_NAME.length
    if (end >= length || !equalsIgnoreCase(lines, at, end, STATUS_NAME)) continue
    let from = end
    while (lines[from] === 0x20 || lines[from] === 0x09) from++
    let to = from
    while (to < length && to - from < MAX_STATUS_DIGITS && isDigit(lines[to])) to++
    if (to === from) continue
    if (to === from + 1) return DIGITS[(lines[from] as number) - ZERO]
    return lines.toString('latin1', from, to)
  }
  return undefined
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= ZERO + 9
}

const PREFIX_BYTES = 5

/** Counts length-prefixed messages in a body, however it is cut. */
export class GrpcMessages {
  /** Messages that began. */
  count = 0
  #prefix = 0
  #length = 0
  #left = 0

  take(bytes: Uint8Array, from: number, end: number): void {
    let at = from
    while (at < end) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, end - at)
        this.#left -= step
        at += step
        continue
      }
      // One byte of flags, then the length.
      this.#length = this.#prefix === 0 ? 0 : this.#length * 256 + (bytes[at] as number)
      at++
      if (++this.#prefix < PREFIX_BYTES) continue
      this.count++
      this.#prefix = 0
      this.#left = this.#length
    }
  }
}

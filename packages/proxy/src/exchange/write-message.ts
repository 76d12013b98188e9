/**
 * Heads as they go on: kept lines are copied in runs, byte for byte (so the case
 * of names stays), dropped ones are skipped, added ones follow at the end.
 *
 * Only what the parsers of `wire` would accept can come out: names and values are
 * either bytes they passed or configuration that was checked.
 */
import type { HeaderContext } from '@weft/traffic'
import { renderTemplate } from '@weft/traffic'
import {
  ascii,
  equalsIgnoreCase,
  FIELD,
  type MessageHead,
  type OutBuffer,
  pieceOf,
  SPAN,
  someElement,
} from '@weft/wire'
import type { EncodedHeaders, EncodedName } from './encoded-headers.ts'

/** 1 for each field of the message at hand that does not go on. Filled anew per message. */
export const cuts = new Uint8Array(128)

export const CRLF = pieceOf(ascii('\r\n'))

/** Fields that end here whatever Connection says (RFC 9110, section 7.6.1). */
const HOP_BY_HOP = new Uint8Array(256)
for (const name of [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'upgrade',
  'http2-settings',
] as const) {
  HOP_BY_HOP[FIELD[name]] = 1
}

/** Marks what no message carries on, and what Connection names. */
export function cutHopByHop(head: MessageHead, bytes: Buffer): void {
  const { spans, count } = head
  for (let i = 0; i < count; i++) cuts[i] = HOP_BY_HOP[spans[i * SPAN + 5] as number] as number
  if (head.nominates) cutNominated(head, bytes)
}

/** Nomination must not remove what frames, routes, authenticates or belongs to the mesh. */
const PROTECTED =
  /^(host|content-length|transfer-encoding|expect|date|cookie|authorization|proxy-authorization|x-request-id|traceparent|tracestate|b3|x-(forwarded|envoy|weft|b3)-.*)$/

function cutNominated(head: MessageHead, bytes: Buffer): void {
  for (
    let i = head.findKnown(FIELD.connection);
    i >= 0;
    i = head.findKnown(FIELD.connection, i + 1)
  ) {
    const at = i * SPAN
    someElement(bytes, head.spans[at + 2] as number, head.spans[at + 3] as number, (from, to) => {
      const name = bytes.toString('latin1', from, to).toLowerCase()
      if (!PROTECTED.test(name)) cutLine(head, bytes, name)
      return false
    })
  }
}

export function cutLine(head: MessageHead, bytes: Buffer, name: string): void {
  const lower = ascii(name)
  for (let i = 0; i < head.count; i++) {
    const at = i * SPAN
    if (equalsIgnoreCase(bytes, head.spans[at] as number, head.spans[at + 1] as number, lower)) {
      cuts[i] = 1
    }
  }
}

export function cutNames(head: MessageHead, bytes: Buffer, names: readonly EncodedName[]): void {
  for (let n = 0; n < names.length; n++) {
    const { hash, lower, known } = names[n] as EncodedName
    if (known !== 0) {
      cutKnown(head, known)
      continue
    }
    for (let i = head.find(bytes, 0, hash, lower); i >= 0; ) {
      cuts[i] = 1
      i = head.find(bytes, 0, hash, lower, i + 1)
    }
  }
}

/** Every field with known name `id`. */
export function cutKnown(head: MessageHead, id: number): void {
  for (let i = head.findKnown(id); i >= 0; i = head.findKnown(id, i + 1)) cuts[i] = 1
}

/** Copies the lines that are not cut. */
export function copyKept(head: MessageHead, bytes: Buffer, out: OutBuffer): void {
  const { spans, count } = head
  let runStart = -1
  for (let i = 0; i < count; i++) {
    if (cuts[i] === 0) {
      if (runStart < 0) runStart = spans[i * SPAN] as number
    } else if (runStart >= 0) {
      out.copy(bytes, runStart, spans[i * SPAN] as number)
      runStart = -1
    }
  }
  if (runStart >= 0) out.copy(bytes, runStart, head.end - 2)
}

/** Lines of the configuration; those whose value comes out empty are left out, as in Envoy. */
export function writeLines(encoded: EncodedHeaders, context: HeaderContext, out: OutBuffer): void {
  const { lines } = encoded
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i] as (typeof lines)[number]
    if (line.kind === 'ready') {
      out.piece(line.piece)
      continue
    }
    const value = renderTemplate(line.value, context)
    // Values come from requests, too: whatever was in them, a line stays one line.
    if (value === '' || /[\r\n\0]/.test(value)) continue
    out.latin1(line.name)
    out.append(COLON)
    out.append(Buffer.from(value, 'latin1'))
    out.piece(CRLF)
  }
}

const COLON = ascii(': ')

/** Status texts of answers that the proxy makes itself. */
const REASONS: Readonly<Record<number, string>> = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  204: 'No Content',
  301: 'Moved Permanently',
  302: 'Found',
  303: 'See Other',
  304: 'Not Modified',
  307: 'Temporary Redirect',
  308: 'Permanent Redirect',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  418: "I'm a teapot",
  421: 'Misdirected Request',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

export function reasonOf(status: number): string {
  return REASONS[status] ?? 'Unknown'
}

/** Bodies, cookies and answers of the admin API over `node:http`. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AdminAnswer } from './endpoint.ts'

/** Of a POST, in bytes. */
const MAX_BODY_BYTES = 10 * 1024 * 1024

/** R77: what holds for every answer; a page says more of its own. */
const SECURITY_HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const

/** The prefix makes browsers refuse one that another host or plain http has set (RFC 6265bis). */
export function cookieNameOf(isTls: boolean): string {
  return isTls ? '__Host-weft-session' : 'weft-session'
}

/** `undefined` when it is not there, or there twice: one of two is somebody else's. */
export function cookieOf(request: IncomingMessage, name: string): string | undefined {
  const found = (request.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1))
  return found.length === 1 ? found[0] : undefined
}

/** `undefined`: it is too large. */
export async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    const data = chunk as Buffer
    bytes += data.length
    if (bytes > MAX_BODY_BYTES) return undefined
    chunks.push(data)
  }
  return Buffer.concat(chunks).toString('utf8')
}

export function writeAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  { status, contentType, body, headers }: AdminAnswer,
): void {
  response.writeHead(status, { ...SECURITY_HEADERS, 'content-type': contentType, ...headers })
  if (request.method !== 'HEAD') {
    const pieces = typeof body === 'string' ? [body] : body
    for (const piece of pieces) response.write(piece)
  }
  response.end()
}

/** PEM blocks (RFC 7468): certificates and requests between text and DER. */

export type PemLabel = 'CERTIFICATE' | 'CERTIFICATE REQUEST'

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/
const LINE = 64

/**
 * Every block with the label, in order; other blocks and text between them are passed over.
 * @throws {Error} When a block with the label is no base64.
 */
export function readPem(text: string, label: PemLabel): Buffer[] {
  const found: Buffer[] = []
  for (const [, name, body = ''] of text.matchAll(BLOCK)) {
    if (name !== label) continue
    const packed = body.replaceAll(/[\r\n\t ]/g, '')
    if (!BASE64.test(packed)) throw new Error(`Cannot read PEM: a ${label} block is no base64`)
    found.push(Buffer.from(packed, 'base64'))
  }
  return found
}

export function writePem(label: PemLabel, der: Uint8Array): string {
  const text = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString('base64')
  const lines = []
  for (let at = 0; at < text.length; at += LINE) lines.push(text.slice(at, at + LINE))
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

/**
 * `x-forwarded-client-cert`: who the client is by its certificate, for the application (R43).
 *
 *     By=<our URI name>;Hash=<SHA-256>;Cert="<PEM>";Subject="<RFC 2253>";URI=<name>;DNS=<name>
 *
 * Built from the TLS peer alone. What a client writes itself goes on only where the listener says
 * so and, in all modes but one, only from a client that showed a certificate.
 */
import type { ForwardClientCert } from '@weft/model'
import type { TlsFacts } from '@weft/net'

const NAME = 'x-forwarded-client-cert: '
const PEM_LINE = 64

/** Whether lines that the client sent stay. */
export function keepsClientCert(
  forward: ForwardClientCert | undefined,
  tls: TlsFacts | undefined,
): boolean {
  if (forward?.mode === 'alwaysForwardOnly') return true
  if (tls?.peer === undefined) return false
  return forward?.mode === 'forwardOnly' || forward?.mode === 'appendForward'
}

/** By connection and settings: the same for all its requests. */
const known = new WeakMap<
  TlsFacts,
  { readonly forward: ForwardClientCert; readonly line: Buffer }
>()

/** The line with its end, behind those that stay; `undefined`: nothing is told. */
export function forwardedClientCert(
  forward: ForwardClientCert,
  tls: TlsFacts | undefined,
): Buffer | undefined {
  if (tls?.peer === undefined) return undefined
  if (forward.mode !== 'appendForward' && forward.mode !== 'sanitizeSet') return undefined
  const before = known.get(tls)
  if (before?.forward === forward) return before.line
  const line = Buffer.from(`${NAME}${renderClientCert(forward, tls, tls.peer)}\r\n`, 'latin1')
  known.set(tls, { forward, line })
  return line
}

function renderClientCert(
  { details }: ForwardClientCert,
  { localUriSans }: TlsFacts,
  peer: NonNullable<TlsFacts['peer']>,
): string {
  const parts = [...localUriSans.map((name) => `By=${name}`), `Hash=${peer.fingerprint}`]
  if (details.includes('cert')) parts.push(`Cert="${encodeURIComponent(pemOf(peer.raw))}"`)
  if (details.includes('subject')) parts.push(`Subject="${quoted(peer.subject)}"`)
  if (details.includes('uri')) parts.push(...peer.uriSans.map((name) => `URI=${bare(name)}`))
  if (details.includes('dns')) parts.push(...peer.dnsSans.map((name) => `DNS=${bare(name)}`))
  return parts.join(';')
}

function pemOf(der: Buffer): string {
  const text = der.toString('base64')
  const lines = []
  for (let at = 0; at < text.length; at += PEM_LINE) lines.push(text.slice(at, at + PEM_LINE))
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** A certificate's subject is anybody's text: it ends neither its quotes nor the line. */
function quoted(text: string): string {
  return [...text]
    .map((char) => {
      if (char === '"' || char === '\\') return `\\${char}`
      return char >= ' ' && char <= '~' ? char : '?'
    })
    .join('')
}

/** Names of certificates with separators in them are written so that they stay one value. */
function bare(name: string): string {
  return /[;,="]/.test(name) ? `"${quoted(name)}"` : name
}

/** Which names a peer's certificate has to have one of. */
import type { SubjectAltNameMatch } from '@weft/model'
import type { PeerCertificate } from '@weft/net'
import { TextMatcher } from '@weft/traffic'

export type NamesRule = (peer: PeerCertificate) => boolean

/** `undefined` when any name will do. */
export function namesRule(wanted: readonly SubjectAltNameMatch[]): NamesRule | undefined {
  if (wanted.length === 0) return undefined
  const rules = wanted.map(({ type, value }) => {
    const matcher = new TextMatcher(value, 'match_typed_subject_alt_names')
    const isExact = value.kind === 'exact'
    return {
      type,
      matches: (name: string) => matcher.matches(name),
      text: isExact ? value.value : '',
    }
  })
  return (peer) =>
    rules.some(({ type, matches, text }) => {
      const isAny = type === 'any'
      return (
        ((isAny || type === 'uri') && peer.uriSans.some(matches)) ||
        ((isAny || type === 'ip') && peer.ipSans.some(matches)) ||
        ((isAny || type === 'email') && peer.emailSans.some(matches)) ||
        ((isAny || type === 'dns') &&
          peer.dnsSans.some((name) => matches(name) || coversName(name, text)))
      )
    })
}

/** The certificate is for this host, by DNS name or IP address. */
export function coversHost(host: string): NamesRule {
  return (peer) => peer.ipSans.includes(host) || peer.dnsSans.some((name) => coversName(name, host))
}

/** A DNS name in a certificate may be `*.example.com`, for one label (RFC 6125, section 6.4.3). */
function coversName(pattern: string, name: string): boolean {
  const lower = pattern.toLowerCase()
  if (!lower.startsWith('*.')) return lower === name.toLowerCase()
  const dot = name.indexOf('.')
  return dot > 0 && name.slice(dot).toLowerCase() === lower.slice(1)
}

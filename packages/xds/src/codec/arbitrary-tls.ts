/** TLS settings of listeners and clusters. */
import type { DownstreamTls, SubjectAltNameMatch, UpstreamTls } from '@weft/model'
import fc from 'fast-check'
import { type Arb, record, stringMatch, word } from './arbitrary-values.ts'

const CIPHERS = ['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384']
const version = fc.constantFrom('1.2' as const, '1.3' as const)
/** Of SHA-256. */
function digest(encoding: 'base64' | 'hex'): Arb<string> {
  return fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((bytes) => Buffer.from(bytes).toString(encoding))
}

const parameters = {
  minVersion: version,
  maxVersion: version,
  cipherSuites: fc.subarray(CIPHERS, { minLength: 1 }),
  ecdhCurves: fc.subarray(['X25519', 'P-256'], { minLength: 1 }),
  verifySpki: fc.uniqueArray(digest('base64'), { minLength: 1, maxLength: 2 }),
  verifyHash: fc.uniqueArray(digest('hex'), { minLength: 1, maxLength: 2 }),
  acceptUntrusted: fc.constant(true as const),
}
const optional = [
  ...(['validation', 'minVersion', 'maxVersion', 'cipherSuites', 'ecdhCurves'] as const),
  ...(['verifySpki', 'verifyHash', 'acceptUntrusted'] as const),
] as const

const nameMatches: Arb<readonly SubjectAltNameMatch[]> = fc.array(
  fc.record({
    type: fc.constantFrom('dns', 'uri', 'ip', 'email', 'any'),
    // An exact name of the type that it looks like is the same as a plain one.
    value: stringMatch.filter((match) => match.kind !== 'exact' || match.ignoreCase),
  }),
  { minLength: 1, maxLength: 3 },
)

export const downstreamTls: Arb<DownstreamTls> = record<Omit<DownstreamTls, 'fromProvider'>>(
  {
    certificates: fc.uniqueArray(word, { minLength: 1, maxLength: 2 }),
    validation: word,
    requireClientCertificate: fc.boolean(),
    subjectAltNames: nameMatches,
    alpn: fc.subarray(['h2', 'http/1.1']),
    ...parameters,
  },
  [...optional, 'subjectAltNames'],
).map(withCheckedNames)

export const upstreamTls: Arb<UpstreamTls> = record<Omit<UpstreamTls, 'fromProvider'>>(
  {
    certificate: word,
    validation: word,
    sni: word,
    autoSni: fc.constant(true),
    autoSanValidation: fc.constant(true),
    subjectAltNames: fc.uniqueArray(
      fc.oneof(word, fc.constantFrom('spiffe://d/ns/a/sa/b', '10.0.0.1')),
      { maxLength: 2 },
    ),
    subjectAltNameMatches: nameMatches,
    alpn: fc.subarray(['h2', 'http/1.1']),
    ...parameters,
  },
  [
    ...optional,
    ...(['certificate', 'sni', 'autoSni', 'autoSanValidation', 'subjectAltNameMatches'] as const),
  ],
).map(({ subjectAltNameMatches, ...tls }) =>
  tls.validation === undefined || subjectAltNameMatches === undefined
    ? tls
    : { ...tls, subjectAltNameMatches },
)

/** Names are only looked at when a CA vouches for them. */
function withCheckedNames({ subjectAltNames, ...tls }: DownstreamTls): DownstreamTls {
  return tls.validation === undefined || subjectAltNames === undefined
    ? tls
    : { ...tls, subjectAltNames }
}

/** Who a TLS peer has to be ⇄ Envoy's `CertificateValidationContext`. */
import { isIP } from 'node:net'
import type { SubjectAltNameMatch, TlsParameters } from '@weft/model'
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType as SanType,
  type SubjectAltNameMatcherSchema,
  CertificateValidationContext_TrustChainVerification as Trust,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js'
import { decodeString, encodeString } from './matchers.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import type { Init } from './values.ts'

type Pins = Pick<TlsParameters, 'verifySpki' | 'verifyHash' | 'acceptUntrusted'>
type TypedMatcher = Init<typeof SubjectAltNameMatcherSchema>

const SAN_TYPES = {
  dns: SanType.DNS,
  email: SanType.EMAIL,
  uri: SanType.URI,
  ip: SanType.IP_ADDRESS,
} as const

/** What `any` is for an Envoy: one matcher for each type, in this order. */
const ANY = ['dns', 'email', 'uri', 'ip'] as const

/** Names that are wanted as they are, and such with a type and a form. */
export interface WantedNames {
  readonly exact: readonly string[]
  readonly matches: readonly SubjectAltNameMatch[]
}

/** `undefined` when there is nothing to check beside the chain. */
export function encodePeerRules(
  names: WantedNames,
  { verifySpki = [], verifyHash = [], acceptUntrusted = false }: Pins,
): Init<typeof CertificateValidationContextSchema> | undefined {
  const { exact, matches } = names
  const count = exact.length + matches.length + verifySpki.length + verifyHash.length
  if (count === 0 && !acceptUntrusted) return undefined
  return {
    matchTypedSubjectAltNames: [...exact.map(encodeExact), ...matches.flatMap(encodeMatch)],
    verifyCertificateSpki: [...verifySpki],
    verifyCertificateHash: [...verifyHash],
    ...(acceptUntrusted ? { trustChainVerification: Trust.ACCEPT_UNTRUSTED } : {}),
  }
}

function encodeExact(value: string): TypedMatcher {
  const matcher = encodeString({ kind: 'exact', value, ignoreCase: false })
  return { sanType: SAN_TYPES[typeOf(value)], matcher }
}

function encodeMatch({ type, value }: SubjectAltNameMatch): TypedMatcher[] {
  const types = type === 'any' ? ANY : [type]
  return types.map((one) => ({ sanType: SAN_TYPES[one], matcher: encodeString(value) }))
}

function typeOf(name: string): 'uri' | 'dns' | 'ip' {
  if (name.includes('://')) return 'uri'
  return isIP(name) === 0 ? 'dns' : 'ip'
}

const VALIDATION = covers(
  CertificateValidationContextSchema,
  ...['match_typed_subject_alt_names', 'match_subject_alt_names'],
  ...['verify_certificate_spki', 'verify_certificate_hash', 'trust_chain_verification'],
)

export interface PeerRulesDecoded extends Pins {
  readonly names: readonly SubjectAltNameMatch[]
}

export function decodePeerRules(
  context: CertificateValidationContext | undefined,
  path: string,
  problems: Problems,
): PeerRulesDecoded {
  if (context === undefined) return { names: [] }
  refuseOthers(VALIDATION, context, path, problems)
  const { verifyCertificateSpki, verifyCertificateHash } = context
  return {
    names: decodeNames(context, path, problems),
    ...(verifyCertificateSpki.length === 0 ? {} : { verifySpki: verifyCertificateSpki }),
    ...(verifyCertificateHash.length === 0 ? {} : { verifyHash: verifyCertificateHash }),
    ...(context.trustChainVerification === Trust.ACCEPT_UNTRUSTED ? { acceptUntrusted: true } : {}),
  }
}

function decodeNames(
  context: CertificateValidationContext,
  path: string,
  problems: Problems,
): SubjectAltNameMatch[] {
  const at = `${path}.match_typed_subject_alt_names`
  const typed = context.matchTypedSubjectAltNames.map(({ sanType, matcher }, index) => {
    const type = ANY.find((one) => SAN_TYPES[one] === sanType)
    if (type === undefined) problems.add(`${at}[${index}].san_type`, 'is not supported')
    return {
      type: type ?? ('dns' as const),
      value: decodeString(matcher, `${at}[${index}]`, problems),
    }
  })
  const older = context.matchSubjectAltNames.map((matcher, index) => ({
    type: 'any' as const,
    value: decodeString(matcher, `${path}.match_subject_alt_names[${index}]`, problems),
  }))
  return [...joinAny(typed), ...older]
}

/** Four in a row that differ only in their type are what `any` was written as. */
function joinAny(names: readonly SubjectAltNameMatch[]): SubjectAltNameMatch[] {
  const joined: SubjectAltNameMatch[] = []
  for (let i = 0; i < names.length; ) {
    const [first, ...rest] = names.slice(i, i + ANY.length)
    if (first === undefined) break
    const text = JSON.stringify(first.value)
    const isAny =
      rest.length === ANY.length - 1 &&
      [first, ...rest].every(
        ({ type, value }, k) => type === ANY[k] && JSON.stringify(value) === text,
      )
    joined.push(isAny ? { type: 'any', value: first.value } : first)
    i += isAny ? ANY.length : 1
  }
  return joined
}

/** Tells plain names, of the type that they look like, from the rest. */
export function splitNames(names: readonly SubjectAltNameMatch[]): WantedNames {
  const isPlain = ({ type, value }: SubjectAltNameMatch): boolean =>
    value.kind === 'exact' && !value.ignoreCase && type === typeOf(value.value)
  return {
    exact: [...new Set(names.filter(isPlain).map(({ value }) => value.value))],
    matches: names.filter((name) => !isPlain(name)),
  }
}

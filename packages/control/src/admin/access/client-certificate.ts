/**
 * Who the holder of a client certificate is. Certificates of the mesh's own CA name a workload (their
 * SPIFFE id is the user); those of an operators' CA name a person as Kubernetes reads them: the
 * common name is the user, organisations are groups. That they hold the key TLS has seen to.
 */
import { X509Certificate } from 'node:crypto'
import { renderSpiffeId, type SpiffeId, serviceAccountOf } from '@weft/model'
import { AUTHENTICATED, type Identity, RESERVED } from './roles.ts'

export type Named =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly problem: string }

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const MAX_NAME = 253

/** Each certificate of a PEM text. @throws {Error} When one is none, or is no CA. */
export function operatorCasOf(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new Error('there is no certificate in it')
  return blocks.map((block) => {
    const certificate = new X509Certificate(block)
    if (certificate.ca) return certificate
    throw new Error(`${certificate.subject.replaceAll('\n', ', ')} is not a CA`)
  })
}

export function workloadIdentity(id: SpiffeId): Identity {
  const namespace = serviceAccountOf(id)?.namespace
  const groups = [
    AUTHENTICATED,
    'system:serviceaccounts',
    ...(namespace === undefined ? [] : [`system:serviceaccounts:${namespace}`]),
  ]
  return { user: renderSpiffeId(id), groups, proof: 'certificate' }
}

/** @param der The leaf; it must be of one of the CAs itself. */
export function personIdentity(
  der: Buffer,
  cas: readonly X509Certificate[],
  wallMs: number,
): Named {
  const leaf = new X509Certificate(der)
  const isOurs = cas.some((ca) => leaf.checkIssued(ca) && leaf.verify(ca.publicKey))
  if (!isOurs) return { ok: false, problem: 'your certificate is of no CA that is trusted here' }
  const isLiving = wallMs >= Date.parse(leaf.validFrom) && wallMs <= Date.parse(leaf.validTo)
  if (!isLiving || leaf.ca) return { ok: false, problem: 'your certificate is not valid now' }
  // Absent: for anything (RFC 5280 §4.2.1.12).
  if (leaf.keyUsage !== undefined && !leaf.keyUsage.includes(CLIENT_AUTH)) {
    return { ok: false, problem: 'your certificate is not for clients' }
  }
  const [user, ...more] = fieldsOf(leaf, 'CN')
  if (user === undefined || more.length > 0 || !isName(user)) {
    return { ok: false, problem: 'your certificate has no common name that can be a user' }
  }
  const groups = fieldsOf(leaf, 'O').filter(isName)
  return { ok: true, identity: { user, groups: [AUTHENTICATED, ...groups], proof: 'certificate' } }
}

/** Of the subject; as often as it is there. */
function fieldsOf(certificate: X509Certificate, field: string): readonly string[] {
  const subject = certificate.toLegacyObject().subject as unknown as Readonly<
    Record<string, string | readonly string[] | undefined>
  >
  const value = Object.hasOwn(subject, field) ? subject[field] : undefined
  return value === undefined ? [] : [value].flat()
}

/** SPIFFE ids are for those whom the mesh's CA vouches for. */
function isName(text: string): boolean {
  const isPrintable = /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(text)
  return isPrintable && text.length <= MAX_NAME && !RESERVED.test(text) && !/^spiffe:/i.test(text)
}

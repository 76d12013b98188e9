/**
 * Whether a peer's certificate is one of a workload of the mesh: SPIFFE's rules, which OpenSSL does
 * not know, and the roots of the peer's own trust domain only (R39, R40, R42).
 */
import type { X509Certificate } from 'node:crypto'
import { type Certificate, type Roots, readCertificate, readPem, verifySvid } from '@weft/identity'
import { parseSpiffeId, type Secret, type TrustDomainRoots } from '@weft/model'

/** Longer chains are no SVIDs; circles end here, too. */
const MAX_CHAIN = 8
/** Peers that come again and again are judged once. */
const MAX_REMEMBERED = 4_096

/**
 * @param nowMs Wall clock; for tests.
 * @returns Why a certificate is refused, `undefined` when it is not.
 * @public `tls/tls-contexts.ts` loads it when it is needed.
 */
export function meshDistrust(
  { caPem, trustDomains }: Pick<Validation, 'caPem' | 'trustDomains'>,
  nowMs: () => number = Date.now,
): (certificate: X509Certificate) => string | undefined {
  const rootsFor = trustDomains === undefined ? rootsOf(caPem) : rootsByName(trustDomains)
  /** By fingerprint: until when a certificate is good. */
  const known = new Map<string, number>()
  return (certificate) => {
    const { fingerprint256 } = certificate
    const untilMs = known.get(fingerprint256)
    if (untilMs !== undefined && nowMs() <= untilMs) return undefined
    const chain = chainOf(certificate)
    const verified = verifySvid(chain, rootsFor(chain[0]), nowMs())
    if (!verified.ok) return verified.problem
    if (known.size >= MAX_REMEMBERED) known.clear()
    known.set(fingerprint256, verified.notAfterMs)
    return undefined
  }
}

type Validation = Extract<Secret, { readonly kind: 'validation' }>

interface Root {
  readonly der: Buffer
  /** Absent: it does not say; then it is the mesh's, whatever the mesh is called. */
  readonly trustDomain: string | undefined
}

type RootsFor = (leaf: Buffer | undefined) => Roots

function rootsOf(caPem: string): RootsFor {
  const roots: Root[] = readPem(caPem, 'CERTIFICATE').map((der) => ({
    der,
    trustDomain: trustDomainOf(readCertificate(der)),
  }))
  return (leaf) => {
    const wanted = leaf === undefined ? undefined : trustDomainOf(tryRead(leaf))
    if (wanted === undefined) return new Map()
    const own = roots.filter(({ trustDomain = wanted }) => trustDomain === wanted)
    return new Map([[wanted, own.map(({ der }) => der)]])
  }
}

/** With several trust domains it is said for each root whom it may vouch for (R42). */
function rootsByName(trustDomains: readonly TrustDomainRoots[]): RootsFor {
  const roots: Roots = new Map(
    trustDomains.map(({ trustDomain, caPem }) => [trustDomain, readPem(caPem, 'CERTIFICATE')]),
  )
  return () => roots
}

/** The peer is not who says what is in it yet: it may be anything. */
function tryRead(der: Buffer): Certificate | undefined {
  try {
    return readCertificate(der)
  } catch {
    return undefined
  }
}

function trustDomainOf(certificate: Certificate | undefined): string | undefined {
  const parsed = parseSpiffeId(certificate?.uriNames[0] ?? '')
  return parsed.ok ? parsed.id.trustDomain : undefined
}

/** The leaf first. Node hangs on each who issued it, up to one that issued itself. */
function chainOf(leaf: X509Certificate): Buffer[] {
  const chain: Buffer[] = []
  let next: X509Certificate | undefined = leaf
  while (next !== undefined && chain.length < MAX_CHAIN) {
    chain.push(next === leaf ? leaf.raw : interned(next))
    const issuer: X509Certificate | undefined = next.issuerCertificate
    next =
      issuer === undefined || issuer.fingerprint256 === next.fingerprint256 ? undefined : issuer
  }
  return chain
}

/** Signers come with every peer: kept as one object each, they are read once. */
const signers = new Map<string, Buffer>()
const MAX_SIGNERS = 64

function interned({ fingerprint256, raw }: X509Certificate): Buffer {
  const kept = signers.get(fingerprint256)
  if (kept !== undefined) return kept
  if (signers.size >= MAX_SIGNERS) signers.clear()
  signers.set(fingerprint256, raw)
  return raw
}

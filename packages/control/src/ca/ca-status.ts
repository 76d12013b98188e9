/** The CA as plain data for people: what is trusted, where a rotation stands, what is about to end. */
import { createHash } from 'node:crypto'
import {
  type BundleHolder,
  type BundleRoot,
  type CertificateAuthority,
  readPem,
  trustedRoots,
  type Waiting,
} from '@weft/identity'
import type { UpstreamStatus } from './upstream/upstream-ca.ts'

export interface CaStatus {
  /**
   *     ok            nothing to do
   *     degraded      something is about to end, or has: `problems`
   *     unavailable   there is no CA; nobody gets a certificate
   */
  readonly state: 'ok' | 'degraded' | 'unavailable'
  readonly problems: readonly string[]
  readonly trustDomain: string
  readonly roots: readonly RootStatus[]
  /** The CA that signs for this one, where there is such. */
  readonly upstream?: UpstreamStatus
  /** Of the certificate that signs here, ISO 8601. */
  readonly signerNotAfter?: string
  readonly rotation: RotationStatus
  readonly holders: readonly BundleHolder[]
  readonly issued: {
    /** Since the start. */
    readonly total: number
    /** Proxies with a certificate that has not ended. */
    readonly living: number
  }
}

interface RootStatus {
  readonly keyId: string
  readonly role: 'active' | 'next' | 'previous'
  readonly notAfter: string
  /** Of the certificate, hex. */
  readonly sha256: string
}

interface RotationStatus {
  readonly stage: 'steady' | 'distributing' | 'switched'
  readonly bundleVersion: number
  /** When time alone lets it go on. */
  readonly earliestStep?: string
  readonly waitingFor: readonly Waiting[]
}

interface Facts {
  readonly ca: CertificateAuthority | undefined
  readonly problem: string | undefined
  readonly upstream: UpstreamStatus | undefined
  readonly trustDomain: string
  readonly holders: readonly BundleHolder[]
  readonly issued: CaStatus['issued']
  readonly nowMs: number
}

const DAY_MS = 86_400_000
/** Before a root ends, people need time for another. */
const ROOT_NOTICE_MS = 30 * DAY_MS
/** A signer of ours is renewed at half its life: so near its end something is wrong. */
const SIGNER_NOTICE_MS = 7 * DAY_MS

export function caStatus({ ca, problem, upstream, ...facts }: Facts): CaStatus {
  const { trustDomain, holders, issued, nowMs } = facts
  const forwarding = upstream === undefined ? {} : { upstream }
  if (ca === undefined) {
    return {
      state: 'unavailable',
      problems: [problem ?? 'it is not open yet'],
      trustDomain,
      roots: [],
      rotation: { stage: 'steady', bundleVersion: 0, waitingFor: [] },
      holders,
      issued,
      ...forwarding,
    }
  }
  const problems = [...expiryProblems(ca, nowMs), ...upstreamProblems(upstream)]
  const { bundle, earliestStepMs, signerNotAfterMs } = ca
  return {
    state: problems.length === 0 ? 'ok' : 'degraded',
    problems,
    trustDomain,
    roots: trustedRoots(bundle).map((root, i) => ({
      keyId: root.keyId,
      role: i === 0 ? 'active' : bundle.kind === 'distributing' ? 'next' : 'previous',
      notAfter: iso(root.notAfterMs),
      sha256: hashOf(root),
    })),
    ...forwarding,
    ...(signerNotAfterMs === undefined ? {} : { signerNotAfter: iso(signerNotAfterMs) }),
    rotation: {
      stage: bundle.kind,
      bundleVersion: bundle.version,
      ...(earliestStepMs === undefined ? {} : { earliestStep: iso(earliestStepMs) }),
      waitingFor: ca.waitingFor(holders),
    },
    holders,
    issued,
  }
}

/** What has ended or soon will, in words with what to do. */
export function expiryProblems(ca: CertificateAuthority, nowMs: number): readonly string[] {
  const root = ca.bundle.active.notAfterMs
  const signer = ca.signerNotAfterMs
  return [
    ...ending('the root certificate', root, ROOT_NOTICE_MS, nowMs),
    ...(signer === undefined
      ? []
      : ending('the signing certificate', signer, SIGNER_NOTICE_MS, nowMs)),
  ]
}

function upstreamProblems(upstream: UpstreamStatus | undefined): readonly string[] {
  if (upstream?.problem === undefined) return []
  const { address, problem, nextTry } = upstream
  const next = nextTry === undefined ? '' : `; it is tried again at ${nextTry}`
  return [`the upstream CA ${address} does not sign: ${problem}${next}`]
}

function ending(what: string, atMs: number, noticeMs: number, nowMs: number): readonly string[] {
  const leftMs = atMs - nowMs
  if (leftMs > noticeMs) return []
  const todo = 'rotate it (`weft ca rotate`) or import another (`weft ca import`)'
  return leftMs <= 0
    ? [`${what} expired at ${iso(atMs)}: ${todo}`]
    : [`${what} expires in ${Math.ceil(leftMs / DAY_MS)} days, at ${iso(atMs)}: ${todo}`]
}

function hashOf({ pem }: BundleRoot): string {
  const [der = Buffer.alloc(0)] = readPem(pem, 'CERTIFICATE')
  return createHash('sha256').update(der).digest('hex')
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

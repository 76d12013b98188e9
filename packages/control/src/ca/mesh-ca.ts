/**
 * The CA of the mesh in the control plane: answers requests for certificates, tells proxies the
 * trust bundle, moves rotations on, and says loudly when something of it is about to end.
 *
 *     request ──► attest ──► limits ──► issue ──► remembered: who holds which root
 *     ACKs of ROOTCA, time ──► advance ──► a new bundle ──► pushed to every proxy
 *
 * Without a CA that opens, everything else goes on: configuration is served, what runs keeps its
 * certificates, and only requests for new ones are told to come back.
 */
import type { Clock, Logger } from '@weft/base'
import type { Document } from '@weft/config'
import {
  type AuthorityFiles,
  type BundleHolder,
  CertificateAuthority,
  DEFAULT_CA_POLICY,
  PossessionProofs,
  readPem,
  type SpiffeBundle,
  trustedRoots,
  type UpstreamRoot,
  writePem,
} from '@weft/identity'
import { renderSpiffeId, type SpiffeId } from '@weft/model'
import type { CertificateAnswer, CertificateQuestion, XdsPeer, XdsTls } from '@weft/xds'
import { type AttestationDeps, type Attested, attest, identify, isOwner } from './attestation.ts'
import type { CaMetrics } from './ca-metrics.ts'
import { type CaStatus, caStatus, expiryProblems } from './ca-status.ts'
import { fileCaStore, memoryCaStore } from './ca-store.ts'
import { CallLimits } from './call-limits.ts'
import { subjectOf } from './delegates.ts'
import { type ConnectedHolder, IssuedCertificates } from './holders.ts'
import type { JoinTokens } from './join-tokens.ts'
import type { CaOptions } from './options.ts'
import { authorityFilesOf, ownCaOf, readOwnCa } from './own-ca-files.ts'
import { OwnCertificate } from './own-certificate.ts'
import { CONTROL_PLANE_DNS_NAMES, isControlPlane } from './server-identity.ts'
import { type Signed, type SignRequest, signCertificate } from './sign.ts'
import type { TokenIssuers } from './token-issuers.ts'
import { probeUpstream } from './upstream/probe-upstream.ts'
import { UpstreamCa } from './upstream/upstream-ca.ts'

export interface MeshCaDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
  readonly tokens: JoinTokens
  readonly issuers: TokenIssuers
  readonly bootstrapToken: string | undefined
  readonly metrics: () => CaMetrics
  /** Proxies with a stream now. */
  connected(): readonly ConnectedHolder[]
  /** Proxies have to hear of another bundle. */
  onBundle(): void
  /** Whoever verifies this mesh's identities, also by tokens, has to hear of other keys. */
  onSpiffeBundle(): void
  /** The control plane shows another certificate from now on. */
  onServerIdentity(tls: XdsTls): void
}

export type Proved =
  | Extract<Attested, { readonly ok: true }>
  | Extract<CertificateAnswer, { readonly ok: false }>

/** Everybody has a day unless less is asked for: a rotation may end a day after its switch. */
const MAX_LEAF_MS = 86_400_000
const LOOK_EVERY_MS = 5_000
const JITTER = 0.2
/** ACKs come in crowds. */
const SOON_MS = 100
/** One line an hour of what is about to end. */
const REMIND_MS = 3_600_000

export class MeshCa {
  readonly #options: CaOptions
  readonly #deps: MeshCaDeps
  readonly #issued = new IssuedCertificates()
  readonly #proofs = new PossessionProofs()
  readonly #failures: CallLimits
  readonly #issues: CallLimits
  readonly #upstream: UpstreamCa | undefined
  readonly #own: OwnCertificate
  #ca: CertificateAuthority | undefined
  /** Before an upstream CA told its root for the first time. */
  #openUnder: ((root: UpstreamRoot) => Promise<CertificateAuthority>) | undefined
  /** Why there is none. */
  #problem: string | undefined = 'it is not open yet'
  #trustDomain = ''
  #toldBundle = ''
  #toldSequence: number | undefined
  #waiting = 0
  #remindedAtMs = Number.NEGATIVE_INFINITY
  #cancel: (() => void) | undefined
  #looking: Promise<void> | undefined
  #isClosed = false
  #isLookSoon = false

  constructor(options: CaOptions, deps: MeshCaDeps) {
    this.#options = options
    this.#deps = deps
    const { limits = {} } = options
    const nowMs = () => deps.clock.monotonicMs()
    this.#failures = new CallLimits(
      { burst: limits.failureBurst ?? 500, perSecond: limits.failuresPerSecond ?? 20 },
      nowMs,
    )
    this.#issues = new CallLimits(
      { burst: limits.issueBurst ?? 1_000, perSecond: limits.issuesPerSecond ?? 50 },
      nowMs,
    )
    const { upstream } = options
    /** Roots of our own say nothing of who the other one is. */
    const told = () => (this.#ca?.signerNotAfterMs === undefined ? this.#ca?.bundlePem : undefined)
    this.#upstream =
      upstream === undefined ? undefined : new UpstreamCa(upstream, { ...deps, told })
    this.#own = new OwnCertificate(
      { ...options, upstream: this.#upstream },
      {
        ...deps,
        sign: (ca, asked) => this.#sign(ca, asked),
        onBundle: (ca) => this.#lookAgain(ca),
      },
    )
  }

  /** Never throws: see above. */
  async open(trustDomain: string, documents: readonly Document[]): Promise<void> {
    const { clock, log } = this.#deps
    const { folder, passphrase, policy } = this.#options
    this.#trustDomain = trustDomain
    const store = folder === undefined ? memoryCaStore() : fileCaStore(folder, passphrase)
    const openCa = (first?: AuthorityFiles | UpstreamRoot) =>
      CertificateAuthority.open(
        trustDomain,
        { store, wallMs: () => clock.nowMs(), monotonicMs: () => clock.monotonicMs() },
        { ...DEFAULT_CA_POLICY, maxLeafMs: MAX_LEAF_MS, ...policy },
        first,
      )
    try {
      if (this.#upstream === undefined) {
        const own = await this.#ownCa(documents)
        this.#ca = await openCa(own)
        if (own !== undefined) await this.#takeOwn(this.#ca, own)
      } else if ((await store.load()) === undefined) this.#openUnder = openCa
      else this.#ca = await openCa()
      await this.#own.read()
    } catch (error) {
      this.#problem = messageOf(error)
      log.error('the CA is not available: nobody gets a certificate until this is repaired', {
        error,
      })
    }
    await this.#look()
  }

  close(): void {
    this.#isClosed = true
    this.#cancel?.()
  }

  /** All roots that are trusted, PEM; `undefined`: nobody knows. */
  get bundlePem(): string | undefined {
    return this.#ca?.bundlePem
  }

  /** For the xDS port; `undefined` when there is none. */
  get serverTls(): XdsTls | undefined {
    return this.#own.tlsOf(this.#trustDomain)
  }

  /** Who a peer is, for anything but certificates. */
  identify(peer: XdsPeer) {
    return identify(peer, this.#attestation)
  }

  async answer(question: CertificateQuestion, peer: XdsPeer): Promise<CertificateAnswer> {
    const metrics = this.#deps.metrics()
    metrics.count('request')
    if (this.#ca === undefined) return unavailable(this.#problem ?? 'it is not open yet')
    const csr = readCsr(question.csrPem)
    if (csr === undefined) {
      // Before anything is used up for it.
      metrics.count('unreadable')
      return { ok: false, code: 'invalidArgument', problem: 'the CSR must be one PEM block' }
    }
    const attested = await this.prove(peer, question.metadata)
    if (!attested.ok) return attested
    const { validitySeconds, metadata } = question
    const subject = subjectOf(attested.id, metadata, this.#options)
    if (!subject.ok) return subject
    const { id, isDelegated } = subject
    const identity = renderSpiffeId(id)
    // A clock that was moved: our own signer is renewed before anybody is sent away for it.
    if (this.#deps.clock.nowMs() >= (this.#ca.signerNotAfterMs ?? Infinity)) await this.#look()
    if (!this.#issues.take(identity)) return this.#limited(`too many certificates for ${identity}`)
    const signed = await this.#sign(this.#ca, {
      csr,
      id,
      ...(validitySeconds > 0 ? { lifetimeMs: validitySeconds * 1_000 } : {}),
      ...(isDelegated && isControlPlane(id) ? { dnsNames: CONTROL_PLANE_DNS_NAMES } : {}),
    })
    if (!signed.ok) {
      metrics.notSigned(signed.code === 'unavailable' ? 'ca_error' : 'csr_error')
      return signed
    }
    metrics.count('issued')
    const { rootKeyId, notAfterMs, serialNumber } = signed
    this.#issued.note(identity, metadata.NODE_ID, { rootKeyId, notAfterMs })
    this.#deps.log.info('certificate issued', {
      identity,
      by: attested.by,
      ...(id === attested.id ? {} : { delegate: renderSpiffeId(attested.id) }),
      serial: serialNumber,
      notAfter: new Date(notAfterMs).toISOString(),
    })
    const chain = signed.chain.map((der) => writePem('CERTIFICATE', der))
    // Another control plane tells its proxies a new root before anything is signed under it.
    return { ok: true, chainPem: [...chain, isDelegated ? this.#ca.bundlePem : signed.rootPem] }
  }

  /** Who asks, by a proof that may be used up by it. Whoever fails too often is not listened to. */
  async prove(peer: XdsPeer, metadata: Readonly<Record<string, string>>): Promise<Proved> {
    const metrics = this.#deps.metrics()
    const address = hostOf(peer.address)
    const mayFail = isOwner(peer, this.#attestation) || this.#failures.has(address)
    if (!mayFail) return this.#limited('too many bad proofs from your address')
    const attested = await attest(peer, metadata, this.#attestation)
    if (attested.ok) return attested
    metrics.count('unauthenticated')
    this.#failures.take(address)
    const { problem } = attested
    this.#deps.log.warn('nothing without a good proof', { peer: peer.address, problem })
    return attested
  }

  /** For whom was proved before. */
  issueJwt(id: SpiffeId, audiences: readonly string[], lifetimeMs: number | undefined) {
    return (
      this.#ca?.issueJwt(id, audiences, lifetimeMs) ?? {
        ok: false as const,
        problem: `the CA is not available: ${this.#problem}`,
      }
    )
  }

  /** What others need to verify who is of this mesh; `undefined`: nobody knows. */
  get spiffeBundle(): SpiffeBundle | undefined {
    return this.#ca?.spiffeBundle
  }

  holders(): readonly BundleHolder[] {
    const version = this.#ca?.bundle.version ?? 0
    return this.#issued.holders(this.#deps.connected(), version, this.#deps.clock.nowMs())
  }

  status(): CaStatus {
    const nowMs = this.#deps.clock.nowMs()
    return caStatus({
      ca: this.#ca,
      problem: this.#problem,
      upstream: this.#upstream?.status(),
      trustDomain: this.#trustDomain,
      holders: this.holders(),
      issued: { total: this.#issued.total, living: this.#issued.living(nowMs) },
      nowMs,
    })
  }

  get trustDomain(): string {
    return this.#trustDomain
  }

  /** For how many proxies a rotation waited at the last look. */
  get waiting(): number {
    return this.#waiting
  }

  get bundleVersion(): number {
    return this.#ca?.bundle.version ?? 0
  }

  /** Wall clock, milliseconds. */
  get rootNotAfterMs(): number | undefined {
    return this.#ca?.bundle.active.notAfterMs
  }

  get signerNotAfterMs(): number | undefined {
    return this.#ca?.signerNotAfterMs
  }

  /** @throws {Error} When it cannot be done now; the message says why. */
  async rotate(): Promise<void> {
    await this.#needOwn().rotate()
    await this.#look()
  }

  /** @throws {Error} As `rotate`. */
  async abandon(): Promise<void> {
    await this.#need().abandon()
    await this.#look()
  }

  /** @throws {Error} As `rotate`, or when the files do not fit. */
  async import(files: AuthorityFiles): Promise<void> {
    await this.#needOwn().import(files)
    await this.#look()
  }

  /** A proxy took what it was sent: a rotation may have waited for that. */
  acknowledged(): void {
    const bundle = this.#ca?.bundle
    if (bundle === undefined || bundle.kind === 'steady' || this.#isLookSoon) return
    this.#isLookSoon = true
    this.#deps.clock.after(SOON_MS, () => {
      this.#isLookSoon = false
      void this.#look()
    })
  }

  /** Hashes of the trusted roots, for who has no root yet: `sha256:…`. */
  pins(): readonly string[] {
    return this.status().roots.map(({ sha256 }) => `sha256:${sha256}`)
  }

  get #attestation(): AttestationDeps {
    const { tokens, issuers, bootstrapToken, clock } = this.#deps
    return {
      proofs: this.#proofs,
      trustDomain: this.#trustDomain,
      roots: () => this.#ca?.roots ?? new Map(),
      wallMs: () => clock.nowMs(),
      tokens,
      issuers,
      bootstrapToken,
    }
  }

  #need(): CertificateAuthority {
    if (this.#ca !== undefined) return this.#ca
    throw new Error(`Cannot do this: the CA is not available: ${this.#problem}`)
  }

  #needOwn(): CertificateAuthority {
    if (this.#upstream === undefined) return this.#need()
    const { address } = this.#upstream
    throw new Error(
      `Cannot do this: the root is that of the upstream CA ${address}, change it there`,
    )
  }

  async #sign(ca: CertificateAuthority, asked: SignRequest): Promise<Signed> {
    const before = ca.bundle
    const signed = await signCertificate(ca, this.#upstream, asked, this.#deps.clock.nowMs())
    if (ca.bundle !== before) this.#lookAgain(ca)
    return signed
  }

  #limited(problem: string): Extract<CertificateAnswer, { readonly ok: false }> {
    this.#deps.metrics().count('limited')
    return { ok: false, code: 'resourceExhausted', problem }
  }

  async #ownCa(documents: readonly Document[]): Promise<AuthorityFiles | undefined> {
    const { ownCaFolder, passphrase } = this.#options
    const files =
      (ownCaFolder === undefined ? undefined : await readOwnCa(ownCaFolder)) ?? ownCaOf(documents)
    if (files === undefined) {
      if (ownCaFolder === undefined) return undefined
      throw new Error(`Cannot use the CA's files: ${ownCaFolder} has none of them`)
    }
    return authorityFilesOf(files, passphrase)
  }

  /** Other files than last time: what is in force goes on until the rotation is through. */
  async #takeOwn(ca: CertificateAuthority, own: AuthorityFiles): Promise<void> {
    try {
      const isKnown = trustedRoots(ca.bundle).some(({ pem }) => pem === own.rootPem)
      if (isKnown && own.rootPem !== ca.bundle.active.pem) return
      await ca.import(own)
    } catch (error) {
      this.#deps.log.error("the user's own CA cannot be taken; the one before stays", { error })
    }
  }

  /** One step of everything that time moves; resolves when what is known now was looked at. */
  #look(): Promise<void> {
    const look = async () => {
      if (this.#isClosed) return
      this.#cancel?.()
      try {
        if (this.#openUnder !== undefined) await this.#openFromUpstream(this.#openUnder)
        if (this.#ca !== undefined) await this.#step(this.#ca)
      } catch (error) {
        this.#deps.log.error('the CA cannot go on; it stays as it is', { error })
      }
      if (this.#isClosed) return
      const { clock, random } = this.#deps
      const delayMs = LOOK_EVERY_MS * (1 + JITTER * (2 * random() - 1))
      this.#cancel?.()
      this.#cancel = clock.after(delayMs, () => void this.#look())
    }
    const looking: Promise<void> = (this.#looking ?? Promise.resolve()).then(look)
    this.#looking = looking
    return looking
  }

  async #step(ca: CertificateAuthority): Promise<void> {
    const before = ca.bundle
    // Who holds what costs a look at every stream; while nothing moves, nobody asks.
    const holders = before.kind === 'steady' ? [] : this.holders()
    const isNextUsed =
      before.kind !== 'distributing' || this.#upstream?.signsUnder === before.next.keyId
    await ca.advance(holders, this.#upstream === undefined || isNextUsed)
    this.#waiting = ca.waitingFor(holders).length
    if (ca.bundle !== before) this.#tellStage(ca)
    if (ca.bundlePem !== this.#toldBundle) {
      this.#toldBundle = ca.bundlePem
      this.#deps.onBundle()
    }
    const { sequence } = ca.spiffeBundle
    if (sequence !== this.#toldSequence) {
      this.#toldSequence = sequence
      this.#deps.onSpiffeBundle()
    }
    await this.#own.refresh(ca)
    this.#remind()
  }

  async #openFromUpstream(
    openUnder: (root: UpstreamRoot) => Promise<CertificateAuthority>,
  ): Promise<void> {
    const upstream = this.#upstream
    if (upstream === undefined || !upstream.isReady) return
    const outcome = await probeUpstream(upstream, this.#trustDomain)
    if (!outcome.ok) {
      this.#problem = outcome.problem
      return
    }
    this.#ca = await openUnder({ rootPem: writePem('CERTIFICATE', outcome.signed.root) })
    this.#openUnder = undefined
  }

  #lookAgain(ca: CertificateAuthority): void {
    this.#tellStage(ca)
    void this.#look()
  }

  #tellStage({ bundle }: CertificateAuthority): void {
    const { kind: stage, version, active } = bundle
    this.#deps.log.info('the root rotation went on', { stage, version, active: active.keyId })
  }

  #remind(): void {
    const { clock, log } = this.#deps
    const nowMs = clock.monotonicMs()
    if (this.#ca === undefined || nowMs - this.#remindedAtMs < REMIND_MS) return
    const problems = expiryProblems(this.#ca, clock.nowMs())
    if (problems.length === 0) return
    this.#remindedAtMs = nowMs
    for (const problem of problems) log.error('the CA needs you', { problem })
  }
}

function unavailable(problem: string): CertificateAnswer {
  return { ok: false, code: 'unavailable', problem: `the CA is not available: ${problem}` }
}

function readCsr(pem: string): Buffer | undefined {
  try {
    const [csr, ...more] = readPem(pem, 'CERTIFICATE REQUEST')
    return more.length === 0 ? csr : undefined
  } catch {
    // Anybody may send anything here.
    return undefined
  }
}

/** Without its port: that is another one with every connection. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, '')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

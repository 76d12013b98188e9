/**
 * The control plane's own certificate through time. Where an upstream CA signs, asking for it is
 * also how this control plane learns under which root that one signs.
 */
import type { CertificateAuthority } from '@weft/identity'
import type { XdsTls } from '@weft/xds'
import { issueServerIdentity, type ServerIdentity } from './server-identity.ts'
import type { Signed, SignRequest } from './sign.ts'
import { followRoots } from './upstream/follow-roots.ts'
import {
  keepServerIdentity,
  readServerIdentity,
  unsignedIdentity,
} from './upstream/kept-server-identity.ts'
import { probeUpstream } from './upstream/probe-upstream.ts'
import type { UpstreamCa, UpstreamCaDeps } from './upstream/upstream-ca.ts'

export interface OwnCertificateOptions {
  readonly upstream: UpstreamCa | undefined
  readonly folder?: string
  readonly passphrase?: string
}

export interface OwnCertificateDeps extends UpstreamCaDeps {
  sign(ca: CertificateAuthority, asked: SignRequest): Promise<Signed>
  onServerIdentity(tls: XdsTls): void
  /** A look at the upstream CA changed the bundle. */
  onBundle(ca: CertificateAuthority): void
}

/**
 * A new root is told for 30 s before anything is signed under it, at a control plane like this one:
 * who hears of it later would not know whom it asks any more.
 */
const CHECK_MS = 15_000

export class OwnCertificate {
  readonly #options: OwnCertificateOptions
  readonly #deps: OwnCertificateDeps
  #identity: ServerIdentity | undefined
  #isAsking = false

  constructor(options: OwnCertificateOptions, deps: OwnCertificateDeps) {
    this.#options = options
    this.#deps = deps
  }

  /** What is on disk, where an upstream CA signed it. */
  async read(): Promise<void> {
    const { upstream, folder, passphrase } = this.#options
    if (upstream === undefined || folder === undefined) return
    this.#identity = await readServerIdentity(folder, passphrase)
  }

  /** What ports can open with; `undefined` when there is nothing. */
  tlsOf(trustDomain: string): XdsTls | undefined {
    const isAwaited = this.#identity === undefined && this.#options.upstream !== undefined
    return isAwaited ? unsignedIdentity(trustDomain, this.#deps.clock.nowMs()) : this.#identity?.tls
  }

  /** To be called now and then. Waits for an upstream CA only where there is no certificate yet. */
  async refresh(ca: CertificateAuthority): Promise<void> {
    const identity = this.#identity
    const { upstream } = this.#options
    const isDue =
      identity === undefined ||
      this.#deps.clock.nowMs() >= identity.renewAtMs ||
      identity.rootKeyId !== ca.bundle.active.keyId
    const isSignedHere = upstream === undefined || ca.signerNotAfterMs !== undefined
    if (isDue && isSignedHere) await this.#renew(ca)
    if (upstream === undefined || this.#isAsking) return
    const isWanted = isDue && !isSignedHere && upstream.isReady
    if (!isWanted && !upstream.isCheckDue(CHECK_MS)) return
    this.#isAsking = true
    const asked = (isSignedHere ? this.#watchRoot(ca, upstream) : this.#renew(ca)).finally(() => {
      this.#isAsking = false
    })
    if (identity === undefined) await asked
  }

  /** On the way from a CA of the mesh's own: that one signs until everybody knows the other root. */
  async #watchRoot(ca: CertificateAuthority, upstream: UpstreamCa): Promise<void> {
    const before = ca.bundle
    const outcome = await probeUpstream(upstream, ca.trustDomain)
    if (outcome.ok) await followRoots(ca, outcome.signed)
    if (ca.bundle !== before) this.#deps.onBundle(ca)
  }

  async #renew(ca: CertificateAuthority): Promise<void> {
    const { clock, random, log, sign, onServerIdentity } = this.#deps
    const { upstream, folder, passphrase } = this.#options
    try {
      const ask = (asked: SignRequest) => sign(ca, asked)
      const identity = await issueServerIdentity(ca.trustDomain, ask, clock.nowMs(), random)
      this.#identity = identity
      onServerIdentity(identity.tls)
      if (upstream === undefined || folder === undefined) return
      await keepServerIdentity(folder, passphrase, identity)
    } catch (error) {
      // What is wrong with an upstream CA it says itself.
      if (upstream === undefined) {
        log.error('the control plane keeps its old certificate', { error })
      }
    }
  }
}

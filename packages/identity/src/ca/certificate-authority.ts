/**
 * The CA of a trust domain: which authority signs now, what everybody trusts, and the way from one
 * root to the next. Its whole state is one plain value that is stored before it takes effect.
 *
 *     open ──► issue, issue, …          the authority of the bundle's active root
 *          ──► rotate, advance          bundle/rotation.ts; stored at each step
 *          ──► renewal of the intermediate at half its life, under the same root
 */
import { renderSpiffeId, type SpiffeId } from '@weft/model'
import {
  abandon,
  advance,
  type BundleHolder,
  type BundleRoot,
  earliestStepMs,
  introduce,
  type RotationPolicy,
  steady,
  type TrustBundle,
  trustedRoots,
  type Waiting,
  waitingFor,
} from '../bundle/rotation.ts'
import type { SpiffeBundle } from '../bundle/spiffe-bundle.ts'
import {
  DEFAULT_JWT_POLICY,
  freshJwtKeys,
  type JwtKey,
  type JwtPolicy,
  publicJwk,
  signingKey,
} from '../jwt/jwt-keys.ts'
import { type JwtSvid, signJwtSvid } from '../jwt/jwt-svid.ts'
import { type Certificate, readCertificate } from '../x509/certificate.ts'
import { type CertificateRequest, readCertificateRequest } from '../x509/certificate-request.ts'
import { readPem, writePem } from '../x509/pem.ts'
import { signerProblem } from '../x509/svid-rules.ts'
import type { Roots } from '../x509/verify-svid.ts'
import {
  Authority,
  type AuthorityFiles,
  createIntermediate,
  createRoot,
  type IssuedSvid,
} from './authority.ts'
import { checkedAuthority } from './imported-authority.ts'
import { KeyLedger } from './key-ledger.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const MIN_TOKEN_MS = 1_000
/** Well within the time for which a new root, or a new key, is told before it is used. */
const REFRESH_HINT_MS = 300_000

export interface CaPolicy {
  /** Of leaves when nobody asks for another, milliseconds. */
  readonly leafMs: number
  /** The longest and the shortest that may be asked for. */
  readonly maxLeafMs: number
  readonly minLeafMs: number
  readonly intermediateMs: number
  readonly rootMs: number
  readonly minDistributeMs: number
  readonly jwt: JwtPolicy
}

export const DEFAULT_CA_POLICY: CaPolicy = {
  leafMs: DAY_MS,
  maxLeafMs: 90 * DAY_MS,
  minLeafMs: 60_000,
  intermediateMs: 90 * DAY_MS,
  rootMs: 3_650 * DAY_MS,
  minDistributeMs: 30_000,
  jwt: DEFAULT_JWT_POLICY,
}

/** One root with what signs under it here. */
interface RootState {
  readonly keyId: string
  readonly rootPem: string
  /** Of the root itself; absent where its owner keeps it elsewhere. */
  readonly rootKeyPem?: string
  /** Absent: an upstream CA signs. */
  readonly signer?: AuthorityFiles
}

/** What another CA signs under: it is trusted here, its key is elsewhere. */
export interface UpstreamRoot {
  readonly rootPem: string
}

/** What is stored. Holds private keys. */
export interface CaState {
  readonly trustDomain: string
  readonly bundle: TrustBundle
  readonly roots: readonly RootState[]
  /** Absent: none has been made yet. */
  readonly jwtKeys?: readonly JwtKey[]
  /** How often `jwtKeys` has changed; absent: never. */
  readonly jwtVersion?: number
}

export interface CaStore {
  load(): Promise<CaState | undefined>
  /** Resolves when the state would survive a crash. */
  save(state: CaState): Promise<void>
}

export interface CaDeps {
  readonly store: CaStore
  /** Wall clock, milliseconds. */
  readonly wallMs: () => number
  readonly monotonicMs: () => number
}

export type IssueOutcome =
  | { readonly ok: true; readonly svid: IssuedSvid; readonly bundle: TrustBundle }
  | { readonly ok: false; readonly problem: string }

export type ClaimOutcome =
  | { readonly ok: true; readonly request: CertificateRequest }
  | { readonly ok: false; readonly problem: string }

export type JwtOutcome =
  | { readonly ok: true; readonly svid: JwtSvid }
  | { readonly ok: false; readonly problem: string }

export class CertificateAuthority {
  #state: CaState
  #signer: Authority | undefined
  readonly #policy: CaPolicy
  readonly #deps: CaDeps
  readonly #keys: KeyLedger
  /** Changes come one after the other. */
  #changing: Promise<void> = Promise.resolve()

  private constructor(state: CaState, policy: CaPolicy, deps: CaDeps) {
    this.#state = state
    this.#signer = signerOf(state)
    this.#policy = policy
    this.#deps = deps
    this.#keys = new KeyLedger(deps.monotonicMs)
  }

  /**
   * What the store has, else the user's own CA, else a new root of our own. An expired CA opens too:
   * what is running must go on, and people be told.
   *
   * @param imported For an empty store only; `import` brings a later one in.
   * @throws {Error} When the store holds another trust domain's CA, or files that do not fit.
   */
  static async open(
    trustDomain: string,
    deps: CaDeps,
    policy: CaPolicy = DEFAULT_CA_POLICY,
    imported?: AuthorityFiles | UpstreamRoot,
  ): Promise<CertificateAuthority> {
    const stored = await deps.store.load()
    if (stored !== undefined) {
      if (stored.trustDomain !== trustDomain) {
        throw new Error(
          `Cannot open CA: it must be of ${trustDomain}, got one of ${stored.trustDomain}`,
        )
      }
      return new CertificateAuthority(stored, policy, deps)
    }
    const root =
      imported === undefined
        ? newRootState(trustDomain, deps.wallMs(), policy)
        : 'keyPem' in imported
          ? importedRootState(trustDomain, imported, deps.wallMs())
          : upstreamRootState(trustDomain, imported)
    const state = { trustDomain, bundle: steady(bundleRootOf(root)), roots: [root] }
    await deps.store.save(state)
    return new CertificateAuthority(state, policy, deps)
  }

  get trustDomain(): string {
    return this.#state.trustDomain
  }

  get bundle(): TrustBundle {
    return this.#state.bundle
  }

  /** All that is trusted now, the active root first; PEM. */
  get bundlePem(): string {
    return trustedRoots(this.bundle)
      .map(({ pem }) => pem)
      .join('')
  }

  /** For `verifySvid`. */
  get roots(): Roots {
    return new Map([[this.trustDomain, readPem(this.bundlePem, 'CERTIFICATE')]])
  }

  /** Wall clock, milliseconds: of what signs now; `undefined`: an upstream CA does. */
  get signerNotAfterMs(): number | undefined {
    return this.#signer?.notAfterMs
  }

  /**
   * @param id Proved before by whoever asks; what the request says of names is not read.
   * @param lifetimeMs Asked for; cut to what the policy allows.
   * @param dnsNames Of a server of our own; nobody else gets any.
   */
  issue(
    csrDer: Uint8Array,
    id: SpiffeId,
    lifetimeMs?: number,
    dnsNames?: readonly string[],
  ): IssueOutcome {
    const nowMs = this.#deps.wallMs()
    const signer = this.#signer
    if (signer === undefined) {
      return {
        ok: false,
        problem:
          'an upstream CA signs under the root in force: name it, or rotate to a root of your own',
      }
    }
    if (nowMs >= signer.notAfterMs) {
      return { ok: false, problem: 'the CA certificate has expired: rotate or import another' }
    }
    const claimed = this.claim(csrDer, id)
    if (!claimed.ok) return claimed
    const { leafMs, minLeafMs, maxLeafMs } = this.#policy
    const life = Math.min(Math.max(lifetimeMs ?? leafMs, minLeafMs), maxLeafMs)
    const svid = signer.issue(claimed.request, id, { nowMs, lifetimeMs: life }, dnsNames)
    return { ok: true, svid, bundle: this.bundle }
  }

  /** Whether the request is one, and its key nobody else's: what is asked before anybody signs. */
  claim(csrDer: Uint8Array, id: SpiffeId): ClaimOutcome {
    const read = readCertificateRequest(csrDer)
    if (!read.ok) return read
    const taken = this.#keys.claim(read.request.keyHash, renderSpiffeId(id))
    return taken === undefined ? read : { ok: false, problem: taken }
  }

  /**
   * @param id As in `issue`.
   * @param audiences At least one.
   * @param lifetimeMs Asked for; cut to what the policy allows.
   */
  issueJwt(id: SpiffeId, audiences: readonly string[], lifetimeMs?: number): JwtOutcome {
    const nowMs = this.#deps.wallMs()
    const key = signingKey(this.#state.jwtKeys ?? [], nowMs)
    if (key === undefined) return { ok: false, problem: 'there is no key for JWT-SVIDs' }
    const { tokenMs, maxTokenMs } = this.#policy.jwt
    const life = Math.min(Math.max(lifetimeMs ?? tokenMs, MIN_TOKEN_MS), maxTokenMs)
    return { ok: true, svid: signJwtSvid(key, { id, audiences, nowMs, lifetimeMs: life }) }
  }

  /** What others need to verify who is of this trust domain. */
  get spiffeBundle(): SpiffeBundle {
    const { bundle, jwtKeys = [], jwtVersion = 0 } = this.#state
    return {
      trustDomain: this.trustDomain,
      roots: readPem(this.bundlePem, 'CERTIFICATE'),
      jwtKeys: jwtKeys.map(publicJwk),
      // Both only grow, so their sum does.
      sequence: bundle.version + jwtVersion,
      refreshHintMs: Math.min(REFRESH_HINT_MS, this.#policy.jwt.announceMs / 2),
    }
  }

  /**
   * Begins the way to a new root: ours, or the user's own (Istio's `cacerts` files have the same
   * content).
   */
  rotate(imported?: AuthorityFiles | UpstreamRoot): Promise<void> {
    return this.#change((state) => {
      const { trustDomain } = state
      const nowMs = this.#deps.wallMs()
      const next =
        imported === undefined
          ? newRootState(trustDomain, nowMs, this.#policy)
          : 'keyPem' in imported
            ? importedRootState(trustDomain, imported, nowMs)
            : upstreamRootState(trustDomain, imported)
      const bundle = introduce(state.bundle, bundleRootOf(next), nowMs)
      return { ...state, bundle, roots: [...state.roots, next] }
    })
  }

  /**
   * Takes the user's own CA: another root begins a rotation, another signer of the active root takes
   * over at once, and what is in use already changes nothing.
   */
  import(files: AuthorityFiles): Promise<void> {
    if (rootKeyIdOf(files) !== this.bundle.active.keyId) return this.rotate(files)
    return this.#change((state) => withImportedSigner(state, files, this.#deps.wallMs()))
  }

  /** Goes back, while nobody has a certificate of the new root. */
  abandon(): Promise<void> {
    return this.#change((state) => withoutRetired({ ...state, bundle: abandon(state.bundle) }))
  }

  /**
   * To be called now and then, and when a proxy acknowledged something.
   *
   * @param maySwitch Whether the next root can sign already: an upstream CA chooses when it does.
   */
  advance(holders: readonly BundleHolder[], maySwitch = true): Promise<void> {
    return this.#change((state) => {
      const nowMs = this.#deps.wallMs()
      const isHeld = state.bundle.kind === 'distributing' && !maySwitch
      const bundle = isHeld ? state.bundle : advance(state.bundle, holders, nowMs, this.#rotation)
      const moved = bundle === state.bundle ? state : withoutRetired({ ...state, bundle })
      return withFreshJwtKeys(withFreshSigner(moved, nowMs, this.#policy), nowMs, this.#policy)
    })
  }

  waitingFor(holders: readonly BundleHolder[]): readonly Waiting[] {
    return waitingFor(this.bundle, holders)
  }

  /** When time alone lets the rotation go on; wall clock. */
  get earliestStepMs(): number | undefined {
    return earliestStepMs(this.bundle, this.#rotation)
  }

  get #rotation(): RotationPolicy {
    const { maxLeafMs, minDistributeMs } = this.#policy
    return { maxLeafMs, minDistributeMs }
  }

  #change(next: (state: CaState) => CaState): Promise<void> {
    const changed = this.#changing.then(async () => {
      const state = next(this.#state)
      if (state === this.#state) return
      const signer = signerOf(state)
      await this.#deps.store.save(state)
      this.#state = state
      this.#signer = signer
    })
    // A change that failed changed nothing; the next one is tried all the same.
    this.#changing = changed.catch(() => undefined)
    return changed
  }
}

function newRootState(trustDomain: string, nowMs: number, policy: CaPolicy): RootState {
  const root = createRoot(trustDomain, { nowMs, lifetimeMs: policy.rootMs })
  const authority = new Authority(root, trustDomain)
  return {
    keyId: authority.keyId,
    rootPem: root.rootPem,
    rootKeyPem: root.keyPem,
    signer: createIntermediate(authority, { nowMs, lifetimeMs: policy.intermediateMs }),
  }
}

/** @throws {Error} As `checkedAuthority`. */
function importedRootState(
  trustDomain: string,
  imported: AuthorityFiles,
  nowMs: number,
): RootState {
  const signer = checkedAuthority(imported, trustDomain, nowMs)
  return { keyId: rootKeyIdOf(signer), rootPem: signer.rootPem, signer }
}

/** @throws {Error} When there is no root. */
function rootKeyIdOf({ rootPem }: AuthorityFiles): string {
  const [root] = readPem(rootPem, 'CERTIFICATE')
  if (root === undefined) throw new Error('Cannot import CA: the root file has no certificate')
  return keyIdOf(readCertificate(root))
}

/** @throws {Error} When it is no root that may vouch for the trust domain. */
function upstreamRootState(trustDomain: string, { rootPem }: UpstreamRoot): RootState {
  const [root] = readPem(rootPem, 'CERTIFICATE')
  if (root === undefined) throw new Error('Cannot trust the upstream CA: it told no root')
  const certificate = readCertificate(root)
  const problem = signerProblem(certificate, trustDomain, 0)
  if (problem !== undefined) throw new Error(`Cannot trust the upstream CA's root: ${problem}`)
  return { keyId: keyIdOf(certificate), rootPem: writePem('CERTIFICATE', root) }
}

/** By which a root is known. */
export function keyIdOf({ subjectKeyId, serialNumber }: Certificate): string {
  return subjectKeyId ?? serialNumber
}

function withImportedSigner(state: CaState, files: AuthorityFiles, nowMs: number): CaState {
  const active = activeOf(state)
  const { chainPem, keyPem } = active.signer ?? {}
  // What is in force stays in force, also when it has expired.
  if (files.chainPem === chainPem && files.keyPem === keyPem) return state
  const signer = checkedAuthority(files, state.trustDomain, nowMs)
  if (signer.chainPem === chainPem && signer.keyPem === keyPem) return state
  const roots = state.roots.map((each) => (each === active ? { ...each, signer } : each))
  return { ...state, roots }
}

function bundleRootOf({ keyId, rootPem }: RootState): BundleRoot {
  const [der] = readPem(rootPem, 'CERTIFICATE')
  if (der === undefined) throw new Error('Cannot use root: there is no certificate')
  return { keyId, pem: rootPem, notAfterMs: readCertificate(der).notAfterMs }
}

function activeOf({ bundle, roots }: CaState): RootState {
  const active = roots.find(({ keyId }) => keyId === bundle.active.keyId)
  if (active === undefined) throw new Error('Cannot open CA: its active root is not in the store')
  return active
}

function signerOf(state: CaState): Authority | undefined {
  const { signer } = activeOf(state)
  return signer === undefined ? undefined : new Authority(signer, state.trustDomain)
}

function withoutRetired(state: CaState): CaState {
  const trusted = new Set(trustedRoots(state.bundle).map(({ keyId }) => keyId))
  return { ...state, roots: state.roots.filter(({ keyId }) => trusted.has(keyId)) }
}

/** A new intermediate at half the life of the old one, where the root's key is ours. */
function withFreshSigner(state: CaState, nowMs: number, policy: CaPolicy): CaState {
  const active = activeOf(state)
  const { rootKeyPem, rootPem } = active
  if (rootKeyPem === undefined || active.signer === undefined) return state
  const { notBeforeMs, notAfterMs } = new Authority(active.signer, state.trustDomain)
  if (nowMs < (notBeforeMs + notAfterMs) / 2) return state
  const root = new Authority({ chainPem: '', rootPem, keyPem: rootKeyPem }, state.trustDomain)
  const signer = createIntermediate(root, { nowMs, lifetimeMs: policy.intermediateMs })
  const roots = state.roots.map((each) => (each === active ? { ...each, signer } : each))
  return { ...state, roots }
}

function withFreshJwtKeys(state: CaState, nowMs: number, policy: CaPolicy): CaState {
  const { jwtKeys = [], jwtVersion = 0 } = state
  const fresh = freshJwtKeys(jwtKeys, nowMs, policy.jwt)
  return fresh === jwtKeys ? state : { ...state, jwtKeys: fresh, jwtVersion: jwtVersion + 1 }
}

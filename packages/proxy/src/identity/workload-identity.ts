/**
 * Who this proxy is: gets a certificate, keeps it, and has it replaced in time.
 *
 *     disk ──► current ──► renewal at half its life ──► asked ──► current …
 *                  ▲                                      │ refused, unreachable
 *                  └──────────── backoff, jittered ◄──────┘
 *
 * An expired certificate is kept and shown: whether to talk to somebody with one is for the peer
 * to say, and a clock that was moved must not end a proxy. It is loud, though.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { backoffMs, type Clock, type Logger } from '@weft/base'
import { provePossession, readPem, renewAtMs, writePem } from '@weft/identity'
import { parseSpiffeId, type SocketAddress } from '@weft/model'
import {
  askCertificate,
  type CertificateCall,
  type CertificateReply,
  IMPERSONATED_IDENTITY,
} from '@weft/xds'
import { newRequest, readSvid, type Svid } from './svid.ts'
import { SvidStore } from './svid-store.ts'

export interface IdentityOptions {
  /** Where certificates are asked for, with `proof`. */
  readonly connect: SocketAddress | { readonly path: string }
  /** `connect` is TLS: judged by these roots, PEM, else by the hash in the join token. */
  readonly tls?: { readonly rootsPem?: string }
  /** Where a certificate that is still valid proves who asks for the next (mutual TLS). */
  readonly renewConnect?: SocketAddress
  readonly proof: IdentityProof
  /** Keeps the last certificate and its key, 0600; absent: nothing is kept. */
  readonly dir?: string
  /** Of certificates, in milliseconds; absent: as long as the authority likes. */
  readonly lifetimeMs?: number
}

export type IdentityProof =
  /** A join token, or the secret that a control plane on the same machine wrote. */
  | { readonly kind: 'token'; readonly token: string }
  /** Read anew each time, as Kubernetes rotates them. */
  | { readonly kind: 'tokenFile'; readonly path: string }
  /** As `tokenFile`, of a control plane on this machine; until it is there, nobody gives any. */
  | { readonly kind: 'bootstrapFile'; readonly path: string }
  /** The socket's peer credentials. */
  | { readonly kind: 'none' }
  /** Somebody who may ask for others asks for `id`, a SPIFFE ID, with a certificate of its own. */
  | { readonly kind: 'delegated'; readonly id: string; by(): Svid | undefined }

export interface IdentityStatus {
  /** `absent`: nobody gives certificates here; `waiting`: none has come yet. */
  readonly state: 'absent' | 'waiting' | 'valid' | 'expired'
  readonly id: string | undefined
  /** Wall clock, milliseconds. */
  readonly notAfterMs: number | undefined
  /** Why the last try failed; absent after a success. */
  readonly problem: string | undefined
  /** Tries that failed since the last success. */
  readonly failures: number
}

interface IdentityDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly log: Logger
  /** Default: over the network. */
  readonly ask?: (call: CertificateCall, clock: Clock) => Promise<CertificateReply>
}

const BACKOFF = { baseMs: 1_000, maxMs: 60_000 }
/** The wall clock may be moved meanwhile, and every handshake would fail until somebody looks. */
const LOOK_AGAIN_MS = 5_000
/** By how much it must have moved to be worth a word. */
const MOVED_MS = 60_000
/** However short a certificate lives. */
const MIN_RENEWAL_MS = 500
/** What the first certificate may take before the proxy goes on without. */
const FIRST_MS = 3_000
/** The same where one of an earlier run is at hand. */
const FIRST_WITH_SAVED_MS = 1_000
/** When another root signs, the whole mesh renews: over this share of a certificate's life. */
const SWITCH_SHARE = 0.05
const MAX_SWITCH_MS = 60_000
const UNIMPLEMENTED = 12
const PERMISSION_DENIED = 7
/** A join token says which roots may come with the certificate: SHA-256 of their DER. */
const PIN = '@sha256:'

export class WorkloadIdentity {
  readonly #options: IdentityOptions
  readonly #metadata: Readonly<Record<string, string>>
  readonly #deps: IdentityDeps
  readonly #store: SvidStore | undefined
  readonly #listeners = new Set<() => void>()
  #svid: Svid | undefined
  #renewAtMs = 0
  #failures = 0
  #problem: string | undefined
  #isAbsent = false
  #pins: readonly string[] = []
  /** That signs now, as far as is known here; PEM. */
  #activeRoot = ''
  #asking = false
  #closed = false
  /** Of the wall clock over the monotonic one, milliseconds. */
  #offsetMs: number
  #cancel: () => void = () => undefined
  #settle: () => void = () => undefined
  #soon: Promise<void> | undefined

  /** @param metadata What an authority that believes us for itself wants to know. */
  constructor(
    options: IdentityOptions,
    metadata: Readonly<Record<string, string>>,
    deps: IdentityDeps,
  ) {
    const { proof } = options
    this.#options = options
    this.#metadata =
      proof.kind === 'delegated' ? { ...metadata, [IMPERSONATED_IDENTITY]: proof.id } : metadata
    this.#deps = deps
    this.#offsetMs = deps.clock.nowMs() - deps.clock.monotonicMs()
    this.#store = options.dir === undefined ? undefined : new SvidStore(options.dir, deps.log)
  }

  /** Resolves with the first certificate, or when it is clear that none comes soon. */
  async start(): Promise<void> {
    this.#svid = await this.#store?.load()
    const settled = new Promise<void>((resolve) => {
      this.#settle = resolve
    })
    // Also with one of an earlier run: the authority may be another one by now.
    void this.#ask()
    const atMostMs = this.#svid === undefined ? FIRST_MS : FIRST_WITH_SAVED_MS
    const cancel = this.#deps.clock.after(atMostMs, () => this.#settle())
    await settled
    cancel()
  }

  /**
   * For the first configuration, which may need a certificate: whoever gave it can be reached, so
   * it is asked at once. Resolves with a certificate, or when it is clear that none comes soon.
   */
  soon(): Promise<void> {
    this.#soon ??= this.#comeSoon()
    return this.#soon
  }

  async #comeSoon(): Promise<void> {
    // What is under way may have begun before anybody could be reached.
    for (let tries = 0; tries < 2 && this.#svid === undefined && !this.#isAbsent; tries++) {
      const settled = new Promise<void>((resolve) => {
        this.#settle = resolve
      })
      if (!this.#asking) {
        this.#cancel()
        void this.#ask()
      }
      const cancel = this.#deps.clock.after(FIRST_MS, () => this.#settle())
      await settled
      cancel()
    }
  }

  get svid(): Svid | undefined {
    return this.#svid
  }

  /** What the control plane is told: the SPIFFE ID, or that one is expected; absent: none is. */
  get announced(): string | undefined {
    return this.#isAbsent ? undefined : (this.#svid?.id ?? 'pending')
  }

  status(): IdentityStatus {
    const { id, notAfterMs } = this.#svid ?? { id: undefined, notAfterMs: undefined }
    const state =
      notAfterMs === undefined
        ? this.#isAbsent
          ? 'absent'
          : 'waiting'
        : notAfterMs > this.#deps.clock.nowMs()
          ? 'valid'
          : 'expired'
    return { state, id, notAfterMs, problem: this.#problem, failures: this.#failures }
  }

  /** Tells of every change of `svid`. Returns how to stop. */
  onChange(changed: () => void): () => void {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  /** The roots that everybody trusts now, as the control plane told them: the one that signs first. */
  trust(bundlePem: string): void {
    const svid = this.#svid
    if (svid === undefined) return
    const rootsPem = union(bundlePem, svid.rootPem)
    const told = union(bundlePem, '')
    const [active = ''] = told.split(/(?<=-----END CERTIFICATE-----\n)/)
    // Nobody trusts our root any more, so nobody trusts us.
    if (!told.includes(svid.rootPem)) this.#askWithin(MIN_RENEWAL_MS)
    else if (!svid.rootPem.includes(active) && this.#activeRoot !== active) {
      // A rotation waits for us. Once for every root: other news must not put it off again and again.
      this.#askWithin(Math.min((svid.notAfterMs - svid.issuedAtMs) * SWITCH_SHARE, MAX_SWITCH_MS))
    }
    this.#activeRoot = active
    if (rootsPem === svid.rootsPem) return
    this.#svid = { ...svid, rootsPem }
    void this.#store?.save(this.#svid)
  }

  /** Whoever gives certificates was heard of: what failed before is tried again at once. */
  reachable(): void {
    if (this.#failures > 0) this.#askWithin(MIN_RENEWAL_MS)
  }

  close(): void {
    this.#closed = true
    this.#cancel()
    this.#listeners.clear()
  }

  #askWithin(spreadMs: number): void {
    if (this.#asking || this.#closed) return
    this.#cancel()
    this.#cancel = this.#deps.clock.after(spreadMs * this.#deps.random(), () => {
      void this.#ask()
    })
  }

  #take(svid: Svid): void {
    const { random } = this.#deps
    this.#svid = svid
    this.#renewAtMs = renewAtMs(svid, random)
    this.#failures = 0
    this.#problem = undefined
    this.#isAbsent = false
    this.#settle()
    for (const changed of [...this.#listeners]) changed()
    this.#wait()
  }

  #wait(): void {
    if (this.#closed) return
    const leftMs = this.#renewAtMs - this.#deps.clock.nowMs()
    const delayMs = Math.min(Math.max(leftMs, MIN_RENEWAL_MS), LOOK_AGAIN_MS)
    this.#cancel = this.#deps.clock.after(delayMs, () => {
      this.#watchClock()
      if (this.#deps.clock.nowMs() < this.#renewAtMs) this.#wait()
      else void this.#ask()
    })
  }

  #watchClock(): void {
    const { clock, log } = this.#deps
    const offsetMs = clock.nowMs() - clock.monotonicMs()
    const byMs = Math.round(offsetMs - this.#offsetMs)
    if (Math.abs(byMs) < MOVED_MS) return
    this.#offsetMs = offsetMs
    log.error('the wall clock was moved', { byMs, state: this.status().state })
  }

  async #ask(): Promise<void> {
    const { clock, log, ask = askCertificate } = this.#deps
    this.#asking = true
    const { key, csrPem } = newRequest()
    const validitySeconds = Math.round((this.#options.lifetimeMs ?? 0) / 1_000)
    const metadata = this.#metadata
    try {
      const way = await this.#way()
      const answer = await ask({ ...way, csrPem, validitySeconds, metadata }, clock)
      this.#asking = false
      if (this.#closed) return
      if (!answer.ok) return this.#failed(answer.problem, answer.code)
      const read = readSvid(answer.chainPem, key, clock.nowMs())
      if (!read.ok) return this.#failed(`the authority's answer is not used: ${read.problem}`)
      if (!isPinned(read.svid.rootPem, this.#pins)) {
        return this.#failed('the authority is not the one that the join token names')
      }
      const svid = { ...read.svid, rootsPem: union(this.#svid?.rootsPem ?? '', read.svid.rootPem) }
      log.info('certificate came', { id: svid.id, until: new Date(svid.notAfterMs).toISOString() })
      await this.#store?.save(svid)
      if (!this.#closed) this.#take(svid)
    } catch (error) {
      this.#asking = false
      this.#failed(error instanceof Error ? error.message : String(error), this.#codeOf(error))
    }
  }

  async #way(): Promise<Pick<CertificateCall, 'target' | 'proof' | 'server'>> {
    const { connect, renewConnect, proof, tls } = this.#options
    const svid = this.#svid
    if (proof.kind === 'delegated') {
      const own = proof.by()
      if (own === undefined) throw new Error('who asks for it has no certificate itself')
      return { target: connect, proof: { kind: 'svid', svid: own, rootsPem: own.rootsPem } }
    }
    const isValid = svid !== undefined && svid.notAfterMs > this.#deps.clock.nowMs()
    // The other way after a failure: a certificate may be refused that was good before.
    if (isValid && renewConnect !== undefined && this.#failures % 2 === 0) {
      return { target: renewConnect, proof: { kind: 'svid', svid, rootsPem: svid.rootsPem } }
    }
    // A join token is used up: that the certificate is ours proves as much, without TLS too.
    const turn = renewConnect === undefined ? 0 : 1
    const isAlone = proof.kind === 'token' && tls === undefined
    if (isValid && isAlone && this.#failures % 2 === turn) {
      const token = provePossession(svid, trustDomainOf(svid.id), this.#deps.clock.nowMs())
      return { target: connect, proof: { kind: 'token', token } }
    }
    if (proof.kind === 'none') return { target: connect, proof }
    const text =
      proof.kind === 'token'
        ? proof.token
        : (await readFile(proof.path, 'utf8')).replace(/\s+$/, '')
    const [token = '', ...pins] = text.split(PIN)
    this.#pins = pins
    const way = { target: connect, proof: { kind: 'token', token } as const }
    if (tls === undefined) return way
    // What was learnt since is newer than what it began with.
    const rootsPem = svid?.rootsPem ?? tls.rootsPem
    if (rootsPem !== undefined) return { ...way, server: { kind: 'roots', rootsPem } }
    if (pins.length > 0) return { ...way, server: { kind: 'pins', pins } }
    throw new Error('over TLS a token needs the hash of a root (…@sha256:…), or roots in a file')
  }

  /** A control plane that came before its secret would have left one: this one has no CA. */
  #codeOf(error: unknown): number | undefined {
    const { code } = error as NodeJS.ErrnoException
    const isMissing = code === 'ENOENT' && this.#options.proof.kind === 'bootstrapFile'
    return isMissing ? UNIMPLEMENTED : undefined
  }

  #failed(problem: string, code?: number): void {
    if (this.#closed) return
    const { clock, log, random } = this.#deps
    this.#watchClock()
    const delayMs = backoffMs(BACKOFF, Math.min(this.#failures, 10), random) + MIN_RENEWAL_MS
    this.#failures++
    this.#problem = problem
    const wasAbsent = this.#isAbsent
    // Who may not ask for others is as badly off as where there is no authority.
    const isRefused = code === PERMISSION_DENIED && this.#options.proof.kind === 'delegated'
    this.#isAbsent = (code === UNIMPLEMENTED || isRefused) && this.#svid === undefined
    const { state } = this.status()
    const facts = { state, problem, retryInMs: delayMs }
    if (state === 'expired') log.error('the certificate has EXPIRED and no other comes', facts)
    else if (state !== 'absent') log.warn('no certificate came', facts)
    else if (!wasAbsent) log.info('there is no certificate authority', facts)
    this.#settle()
    this.#cancel = clock.after(delayMs, () => void this.#ask())
  }
}

/** The root that the certificate came with is trusted even where the bundle lags behind. */
function union(bundlePem: string, rootPem: string): string {
  const ders = [bundlePem, rootPem].flatMap((pem) => readPem(pem, 'CERTIFICATE'))
  const texts = new Set(ders.map((der) => writePem('CERTIFICATE', der)))
  return [...texts].join('')
}

function isPinned(rootPem: string, pins: readonly string[]): boolean {
  if (pins.length === 0) return true
  return readPem(rootPem, 'CERTIFICATE').every((der) =>
    pins.includes(createHash('sha256').update(der).digest('hex')),
  )
}

function trustDomainOf(id: string): string {
  const parsed = parseSpiffeId(id)
  return parsed.ok ? parsed.id.trustDomain : ''
}

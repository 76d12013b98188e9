/**
 * Asks another CA to sign, by Istio's CSR service: who the certificate is for is said in the
 * metadata as `ImpersonatedIdentity`, which the other one must let this control plane do.
 *
 *     ready ── no answer, or it does not know us ─► waiting (back-off) ── one call tries ─► ready
 *
 * While it waits everybody hears so at once. A refusal of one identity is that one's alone.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BackoffPolicy, backoffMs, type Clock, type Logger } from '@weft/base'
import { type CertificateRequest, keyIdOf, readCertificate, writePem } from '@weft/identity'
import { renderAddress, renderSpiffeId, type SpiffeId } from '@weft/model'
import {
  askCertificate,
  type CertificateCall,
  type CertificateReply,
  IMPERSONATED_IDENTITY,
} from '@weft/xds'
import { readUpstreamAnswer, type SignedUpstream } from './upstream-answer.ts'
import type { UpstreamCaOptions } from './upstream-options.ts'

export interface UpstreamCaDeps {
  /** What it told before, PEM: its own certificate leads there, too. Absent: nothing yet. */
  readonly told?: () => string | undefined
  readonly clock: Clock
  readonly log: Logger
  readonly random: () => number
  readonly ask?: (call: CertificateCall, clock: Clock) => Promise<CertificateReply>
}

export type UpstreamOutcome =
  | { readonly ok: true; readonly signed: SignedUpstream }
  | {
      readonly ok: false
      readonly code: 'unavailable' | 'invalidArgument'
      readonly problem: string
    }

export interface UpstreamStatus {
  readonly address: string
  /** `unknown`: it has not been asked yet. */
  readonly state: 'unknown' | 'ok' | 'failing'
  readonly problem?: string
  /** ISO 8601: when it signed last. */
  readonly lastSigned?: string
  readonly nextTry?: string
  readonly signed: number
}

const RETRY: BackoffPolicy = { baseMs: 1_000, maxMs: 60_000 }
/** Full jitter begins at nothing, which is no pause. */
const MIN_RETRY_MS = 500
/** Each call has a connection of its own; more wait their turn, and beyond that come back later. */
const MAX_CALLS = 32
const MAX_QUEUED = 2_000
const INVALID_ARGUMENT = 3
const PERMISSION_DENIED = 7
const RESOURCE_EXHAUSTED = 8

export class UpstreamCa {
  readonly #options: UpstreamCaOptions
  readonly #deps: UpstreamCaDeps
  #failures = 0
  #problem: string | undefined
  /** Monotonic. */
  #waitUntilMs = Number.NEGATIVE_INFINITY
  #signedAtMs = Number.NEGATIVE_INFINITY
  #isTrying = false
  #calls = 0
  readonly #queue: (() => void)[] = []
  #signed = 0
  #lastSignedMs: number | undefined
  #signsUnder: string | undefined

  constructor(options: UpstreamCaOptions, deps: UpstreamCaDeps) {
    this.#options = options
    this.#deps = deps
  }

  get address(): string {
    return renderAddress(this.#options.address)
  }

  /** Key id of the root that its last certificate led to. */
  get signsUnder(): string | undefined {
    return this.#signsUnder
  }

  /** Whether a call may be made now. */
  get isReady(): boolean {
    const isWaiting = this.#deps.clock.monotonicMs() < this.#waitUntilMs
    return !isWaiting && !(this.#failures > 0 && this.#isTrying)
  }

  /** Whether it may be asked, and has not answered for so long, or not at the last call. */
  isCheckDue(everyMs: number): boolean {
    const isOld = this.#deps.clock.monotonicMs() >= this.#signedAtMs + everyMs
    return this.isReady && (isOld || this.#failures > 0)
  }

  status(): UpstreamStatus {
    const { clock } = this.#deps
    const waitMs = this.#waitUntilMs - clock.monotonicMs()
    const isFailing = this.#problem !== undefined
    return {
      address: this.address,
      state: isFailing ? 'failing' : this.#signed > 0 ? 'ok' : 'unknown',
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      ...(this.#lastSignedMs === undefined
        ? {}
        : { lastSigned: new Date(this.#lastSignedMs).toISOString() }),
      ...(isFailing && waitMs > 0
        ? { nextTry: new Date(clock.nowMs() + waitMs).toISOString() }
        : {}),
      signed: this.#signed,
    }
  }

  /** @param lifetimeMs Asked for; `undefined`: as long as it likes. */
  async sign(
    csrDer: Uint8Array,
    request: CertificateRequest,
    id: SpiffeId,
    lifetimeMs: number | undefined,
  ): Promise<UpstreamOutcome> {
    if (!this.isReady) return this.#unavailable(this.#problem ?? 'it is being tried again')
    if (this.#queue.length >= MAX_QUEUED) return this.#unavailable('too many wait for it')
    if (this.#failures > 0) this.#isTrying = true
    await this.#turn()
    try {
      return await this.#call(csrDer, request, id, lifetimeMs)
    } finally {
      this.#isTrying = false
      this.#calls--
      this.#queue.shift()?.()
    }
  }

  async #turn(): Promise<void> {
    if (this.#calls >= MAX_CALLS) {
      await new Promise<void>((resolve) => {
        this.#queue.push(resolve)
      })
    }
    this.#calls++
  }

  async #call(
    csrDer: Uint8Array,
    request: CertificateRequest,
    id: SpiffeId,
    lifetimeMs: number | undefined,
  ): Promise<UpstreamOutcome> {
    const { clock, ask = askCertificate } = this.#deps
    // It may have begun to fail while this one waited for its turn.
    if (clock.monotonicMs() < this.#waitUntilMs) return this.#unavailable(this.#problem ?? '')
    let known: Pick<CertificateCall, 'server' | 'proof'>
    try {
      known = await this.#credentials()
    } catch (error) {
      return this.#fail(error instanceof Error ? error.message : String(error))
    }
    const { address, serverName } = this.#options
    const reply = await ask(
      {
        target: address,
        csrPem: writePem('CERTIFICATE REQUEST', csrDer),
        validitySeconds: lifetimeMs === undefined ? 0 : Math.max(1, Math.floor(lifetimeMs / 1_000)),
        metadata: { [IMPERSONATED_IDENTITY]: renderSpiffeId(id) },
        ...known,
        ...(serverName === undefined ? {} : { serverName }),
      },
      clock,
    )
    if (!reply.ok) return this.#refusal(reply.code, reply.problem, id)
    const read = readUpstreamAnswer(reply.chainPem, request, id, clock.nowMs())
    if (!read.ok) return this.#fail(`its answer is of no use: ${read.problem}`)
    if (this.#problem !== undefined) {
      this.#deps.log.info('the upstream CA signs again', { address: this.address })
    }
    this.#failures = 0
    this.#problem = undefined
    this.#signed++
    this.#lastSignedMs = clock.nowMs()
    this.#signedAtMs = clock.monotonicMs()
    this.#signsUnder = keyIdOf(readCertificate(read.signed.root))
    return { ok: true, signed: read.signed }
  }

  async #credentials(): Promise<Pick<CertificateCall, 'server' | 'proof'>> {
    const { credentials, rootsFile } = this.#options
    const told = this.#deps.told?.() ?? ''
    if (credentials.kind === 'token') {
      const token = (await readFile(credentials.path, 'utf8')).trim()
      // A join token may name its authority's root besides.
      const [secret = '', ...pins] = token.split('@')
      const hashes = pins.map((pin) => pin.replace(/^sha256:/, ''))
      const rootsPem = `${rootsFile === undefined ? '' : await readFile(rootsFile, 'utf8')}${told}`
      if (rootsPem === '' && hashes.length === 0) {
        throw new Error('nothing says which roots its certificate leads to: --upstream-ca-roots')
      }
      const server =
        rootsPem === ''
          ? ({ kind: 'pins', pins: hashes } as const)
          : ({ kind: 'roots', rootsPem } as const)
      return { server, proof: { kind: 'token', token: secret } }
    }
    const { folder } = credentials
    const [chainPem, keyPem, rootsPem] = await Promise.all([
      readFile(join(folder, 'cert-chain.pem'), 'utf8'),
      readFile(join(folder, 'key.pem'), 'utf8'),
      readFile(rootsFile ?? join(folder, 'root-cert.pem'), 'utf8'),
    ])
    const svid = { chainPem, keyPem }
    return { proof: { kind: 'svid', svid, rootsPem: `${rootsPem}${told}` } }
  }

  #refusal(code: number, problem: string, id: SpiffeId): UpstreamOutcome {
    const identity = renderSpiffeId(id)
    switch (code) {
      case INVALID_ARGUMENT:
        return { ok: false, code: 'invalidArgument', problem }
      case PERMISSION_DENIED:
      case RESOURCE_EXHAUSTED:
        this.#deps.log.warn('the upstream CA refuses a certificate', { identity, problem })
        return this.#unavailable(`it refuses ${identity}: ${problem}`)
      default:
        return this.#fail(problem)
    }
  }

  #fail(problem: string): UpstreamOutcome {
    const { clock, random, log } = this.#deps
    const delayMs = MIN_RETRY_MS + backoffMs(RETRY, Math.min(this.#failures, 10), random)
    if (this.#failures === 0 || problem !== this.#problem) {
      log.error('the upstream CA does not sign: certificates that are there hold', {
        address: this.address,
        problem,
        retryInMs: delayMs,
      })
    }
    this.#failures++
    this.#problem = problem
    this.#waitUntilMs = clock.monotonicMs() + delayMs
    return this.#unavailable(problem)
  }

  #unavailable(problem: string): UpstreamOutcome {
    return {
      ok: false,
      code: 'unavailable',
      problem: `the upstream CA ${this.address}: ${problem}`,
    }
  }
}

/**
 * Who dialled in. A verified client certificate says it, else a token in SETUP; what was let in is
 * looked at again all the time:
 *
 *     SETUP ─► certificate? token? ─► PeerIdentity ─► every 10 s: expired, revoked, key gone? ─► cut
 *                                          ▲                        │
 *                                          └── METADATA_PUSH: token ┘
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Clock, Logger } from '@weft/base'
import { parseSpiffeId, renderSpiffeId, serviceAccountId, serviceAccountOf } from '@weft/model'
import { tokenKey } from '@weft/traffic'
import {
  RSOCKET_ERROR,
  type RSocketCredentials,
  readAuthentication,
  readComposite,
  readConnectionEvent,
} from '@weft/wire'
import type { Hello } from '../hello.ts'
import type { Leg } from '../leg.ts'
import type { PeerIdentity } from '../peer-facts.ts'
import { judgeToken, type TokenJudgement, type TokenRules } from './token-judge.ts'

export interface AuthenticatorOptions {
  readonly tokens: TokenRules
  /** Whoever shows nothing is let in as nobody. */
  readonly allowsAnonymous: boolean
  /**
   * Shows that a caller on this machine runs as our user; it then is whom it says it is. Read anew
   * each time; absent, or resolving to nothing: there is none.
   */
  readonly ownerSecret?: () => Promise<string | undefined>
}

export interface AuthenticatorDeps {
  readonly clock: Clock
  readonly log: Logger
}

interface Session {
  readonly principal: string | undefined
  /** Absent: a certificate alone. */
  token: string | undefined
  /** Whose the token is: beside a certificate it may be somebody else's. */
  readonly tokenPrincipal: string | undefined
  /** Wall clock, milliseconds. */
  tokenEndsAtMs: number
  readonly certificateEndsAtMs: number
}

/** Half of what an expired token may still be good for, with room for a slow turn. */
const LOOK_MS = 10_000
const MAX_REMEMBERED = 10_000
const AUTHENTICATION_MIME = 'message/x.rsocket.authentication.v0'
const NOBODY: PeerIdentity = { principal: undefined, claims: undefined }
const NO_IDENTITY =
  'WEFT-401 a client certificate or a bearer token in SETUP must say who you are (message/x.rsocket.authentication.v0)'

export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #deps: AuthenticatorDeps
  readonly #sessions = new Map<Leg, Session>()
  /** Good tokens by their SHA-256, oldest first. */
  readonly #known = new Map<string, Extract<TokenJudgement, { readonly ok: true }>>()
  /** Grows with every change of what tokens are judged by. */
  #generation = 0
  #isStale = false
  #cancel: () => void = () => undefined

  constructor(options: AuthenticatorOptions, deps: AuthenticatorDeps) {
    this.#options = options
    this.#deps = deps
    this.#lookLater()
  }

  /** Keys or revocations are others now: nothing that was found out before holds. */
  changed(): void {
    this.#generation++
    this.#known.clear()
    this.#isStale = true
  }

  close(): void {
    this.#cancel()
    this.#sessions.clear()
  }

  /** A text refuses it. */
  async authenticate(leg: Leg, hello: Hello): Promise<PeerIdentity | string> {
    const identity = await this.#identify(leg, hello)
    if (typeof identity === 'string' || identity.principal === undefined) return identity
    // Names of ours would lead to it: a namespace of another trust domain is none of ours.
    const { principal } = identity
    const isForeign = !principal.startsWith(`spiffe://${this.#options.tokens.trustDomain}/`)
    const offersSomething = (hello.instance?.services.length ?? 0) > 0
    if (!isForeign || !offersSomething) return identity
    this.#sessions.delete(leg)
    return `WEFT-403 ${principal} is of another trust domain: it may call, but not offer services`
  }

  async #identify(leg: Leg, hello: Hello): Promise<PeerIdentity | string> {
    const { allowsAnonymous } = this.#options
    const certificate = certificateOf(leg)
    if (typeof certificate === 'string') return certificate
    const { credentials } = hello
    if (credentials === undefined) {
      if (certificate === undefined) return allowsAnonymous ? NOBODY : NO_IDENTITY
      return this.#admit(leg, certificate, undefined, certificate.principal, undefined)
    }
    const token = tokenOf(credentials)
    if (token === undefined) return 'WEFT-401 only bearer tokens are taken'
    if (certificate === undefined && (await this.#isOwner(leg, token))) return this.#asOwner(hello)
    const judged = await this.#judge(token)
    if (!judged.ok) return `WEFT-401 ${judged.problem}`
    const principal = certificate?.principal ?? judged.principal
    return this.#admit(leg, certificate, { token, judged }, principal, judged.claims)
  }

  #admit(
    leg: Leg,
    certificate: Certificate | undefined,
    shown:
      | {
          readonly token: string
          readonly judged: { readonly expiresAtMs: number; readonly principal: string }
        }
      | undefined,
    principal: string,
    claims: PeerIdentity['claims'],
  ): PeerIdentity {
    this.#sessions.set(leg, {
      principal,
      token: shown?.token,
      tokenPrincipal: shown?.judged.principal,
      tokenEndsAtMs: shown?.judged.expiresAtMs ?? Number.POSITIVE_INFINITY,
      certificateEndsAtMs: certificate?.endsAtMs ?? Number.POSITIVE_INFINITY,
    })
    return { principal, claims }
  }

  /** @returns Whether the token is ours, and the caller on this machine. */
  async #isOwner(leg: Leg, token: string): Promise<boolean> {
    const { host } = leg.socket.remoteAddress
    if (!/^(127\.|::1$|::ffff:127\.|$)/.test(host)) return false
    const secret = await this.#options.ownerSecret?.()
    return secret !== undefined && secret !== '' && isSame(token, secret)
  }

  #asOwner({ instance }: Hello): PeerIdentity {
    const { trustDomain } = this.#options.tokens
    const id = renderSpiffeId(
      serviceAccountId(trustDomain, instance?.namespace ?? 'default', 'default'),
    )
    const parsed = parseSpiffeId(id)
    return parsed.ok ? { principal: id, claims: undefined } : NOBODY
  }

  async #judge(token: string): Promise<TokenJudgement> {
    const key = tokenKey(token)
    const nowMs = this.#deps.clock.nowMs()
    const known = this.#known.get(key)
    if (known !== undefined && nowMs < known.expiresAtMs) return known
    const generation = this.#generation
    const judged = await judgeToken(token, this.#options.tokens, nowMs)
    // What it was judged by may be of before.
    if (generation !== this.#generation) return this.#judge(token)
    if (!judged.ok) return judged
    this.#known.set(key, judged)
    const [oldest] = this.#known.keys()
    if (this.#known.size > MAX_REMEMBERED && oldest !== undefined) this.#known.delete(oldest)
    return judged
  }

  /** A peer shows the token that follows its last one. Others' are not taken. */
  async onMetadataPush(leg: Leg, metadata: Uint8Array): Promise<void> {
    const session = this.#sessions.get(leg)
    const token = pushedToken(metadata)
    if (session === undefined || token === undefined) return
    const judged = await this.#judge(token)
    const { log } = this.#deps
    if (!judged.ok) log.warn('a new token is not taken', { problem: judged.problem })
    else if (session.token === undefined || judged.principal !== session.tokenPrincipal) {
      const was = session.tokenPrincipal
      log.warn('a new token is of somebody else', { is: judged.principal, was })
    } else if (!leg.closed) {
      session.token = token
      session.tokenEndsAtMs = judged.expiresAtMs
      // What rules say of claims holds for the token of now.
      const { facts } = leg
      leg.facts = { ...facts, identity: { ...facts.identity, claims: judged.claims } }
    }
  }

  #lookLater(): void {
    this.#cancel = this.#deps.clock.after(LOOK_MS, () => {
      this.#lookLater()
      void this.#look()
    })
  }

  async #look(): Promise<void> {
    const isStale = this.#isStale
    this.#isStale = false
    for (const [leg, session] of this.#sessions) {
      if (leg.closed) this.#sessions.delete(leg)
      else {
        const problem = await this.#problemOf(session, isStale)
        if (problem !== undefined) this.#cut(leg, session, problem)
      }
    }
  }

  async #problemOf(session: Session, isStale: boolean): Promise<string | undefined> {
    const nowMs = this.#deps.clock.nowMs()
    if (nowMs >= session.certificateEndsAtMs) return 'the client certificate is expired'
    if (nowMs >= session.tokenEndsAtMs) return 'Jwt is expired'
    if (!isStale || session.token === undefined) return undefined
    const judged = await this.#judge(session.token)
    return judged.ok ? undefined : judged.problem
  }

  #cut(leg: Leg, { principal }: Session, problem: string): void {
    if (!this.#sessions.delete(leg)) return
    this.#deps.log.info('a link is cut: its proof does not hold any more', { principal, problem })
    leg.owner.counters.identitiesOver++
    leg.fail(RSOCKET_ERROR.connectionError, `WEFT-401 ${problem}`)
  }
}

interface Certificate {
  readonly principal: string
  /** Wall clock, milliseconds. */
  readonly endsAtMs: number
}

/** The handshake has verified it. A text says why it names nobody. */
function certificateOf(leg: Leg): Certificate | string | undefined {
  const peer = leg.socket.tls?.peer
  if (peer === undefined) return undefined
  const [principal = '', ...more] = peer.uriSans
  const parsed = parseSpiffeId(principal)
  if (!parsed.ok || more.length > 0 || serviceAccountOf(parsed.id) === undefined) {
    return 'WEFT-401 the client certificate names no service account of a mesh (spiffe://…/ns/…/sa/…)'
  }
  return { principal, endsAtMs: peer.validToMs }
}

function tokenOf(credentials: RSocketCredentials): string | undefined {
  return credentials.type === 'bearer' ? credentials.token : undefined
}

/** By an authentication entry, or by the event `{"token":{"jwt":…}}`. */
function pushedToken(metadata: Uint8Array): string | undefined {
  const entry = readComposite(metadata)?.find(({ mime }) => mime === AUTHENTICATION_MIME)
  const credentials = entry && readAuthentication(entry.content)
  if (credentials !== undefined) return tokenOf(credentials)
  const token = readConnectionEvent(metadata)?.token
  const jwt = typeof token === 'object' && token !== null && 'jwt' in token ? token.jwt : undefined
  return typeof jwt === 'string' ? jwt : undefined
}

function isSame(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(a), hash(b))
}

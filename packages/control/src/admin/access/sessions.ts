/**
 * Sessions of browsers. Whoever has proved who they are gets a link that is good once and for ten
 * minutes; who opens it gets a cookie. Codes and cookies are 256 random bits; what is kept of them is
 * their SHA-256, in memory: a restart signs everybody out.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Identity } from './roles.ts'

interface Entry {
  readonly identity: Identity
  readonly endsAtMs: number
  /** Of a session: moves with each use. */
  idleAtMs: number
}

const BYTES = 32
const LINK_MS = 10 * 60_000
export const SESSION_MS = 12 * 3_600_000
const IDLE_MS = 3_600_000
const MAX_LINKS = 100
const MAX_SESSIONS = 1_000

export class Sessions {
  readonly #monotonicMs: () => number
  /** By hash, oldest first. */
  readonly #links = new Map<string, Entry>()
  readonly #sessions = new Map<string, Entry>()

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs
  }

  /** A code for `redeem`. */
  link(identity: Identity): { readonly code: string; readonly ttlMs: number } {
    return { code: this.#add(this.#links, identity, LINK_MS, MAX_LINKS), ttlMs: LINK_MS }
  }

  /** The cookie's value; `undefined` when the code was used, has ended, or never was. */
  redeem(code: string): string | undefined {
    const hash = hashOf(code)
    const link = this.#links.get(hash)
    this.#links.delete(hash)
    if (link === undefined || this.#monotonicMs() >= link.endsAtMs) return undefined
    return this.#add(this.#sessions, link.identity, SESSION_MS, MAX_SESSIONS)
  }

  find(cookie: string): Identity | undefined {
    const hash = hashOf(cookie)
    const session = this.#sessions.get(hash)
    if (session === undefined) return undefined
    const nowMs = this.#monotonicMs()
    if (nowMs >= session.endsAtMs || nowMs >= session.idleAtMs) {
      this.#sessions.delete(hash)
      return undefined
    }
    session.idleAtMs = nowMs + IDLE_MS
    return session.identity
  }

  end(cookie: string): void {
    this.#sessions.delete(hashOf(cookie))
  }

  #add(entries: Map<string, Entry>, identity: Identity, ttlMs: number, max: number): string {
    for (const hash of entries.keys()) {
      if (entries.size < max) break
      entries.delete(hash)
    }
    const secret = randomBytes(BYTES).toString('base64url')
    const nowMs = this.#monotonicMs()
    entries.set(hashOf(secret), { identity, endsAtMs: nowMs + ttlMs, idleAtMs: nowMs + IDLE_MS })
    return secret
  }
}

/** Looked up by hash, so how long it takes says nothing about what is kept. */
function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('base64')
}

/**
 * Tokens by which a workload that has nothing else yet gets its first certificate (R65). Only their
 * hashes are kept, and a use is on disk before a certificate is made for it: whatever crashes when,
 * no token is used more often than it may be.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Logger } from '@weft/base'
import { readIfThere, writePrivately } from './private-files.ts'

export interface JoinTokenOptions {
  readonly namespace: string
  readonly serviceAccount: string
  /** The one proxy (`node.id`) that may use it; absent: any. */
  readonly node?: string
  readonly ttlMs: number
  /** Absent: as often as wanted until it ends. */
  readonly uses?: number
}

/** What may be told of a token; the token itself nobody knows but whom it was given to. */
export interface JoinTokenInfo {
  readonly id: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly node?: string
  /** Wall clock, milliseconds. */
  readonly createdAtMs: number
  readonly expiresAtMs: number
  /** Absent: any number. */
  readonly usesLeft?: number
}

export type Redeemed =
  | { readonly ok: true; readonly namespace: string; readonly serviceAccount: string }
  | { readonly ok: false; readonly isOurFault: boolean; readonly problem: string }

interface Entry extends JoinTokenInfo {
  /** Hex SHA-256 of the token. */
  readonly hash: string
}

export interface JoinTokensDeps {
  /** Absent: nothing is kept. */
  readonly path: string | undefined
  readonly wallMs: () => number
  readonly log: Logger
}

export const JOIN_TOKEN_PREFIX = 'wjt_'
const TOKEN_BYTES = 32
const ID_LENGTH = 12
const MAX_TOKENS = 10_000
const MIN_TTL_MS = 1_000
const MAX_TTL_MS = 365 * 86_400_000
/** A segment of a SPIFFE id; what else it is, is for whoever makes the certificate. */
const SEGMENT = /^[A-Za-z0-9._-]{1,253}$/

export class JoinTokens {
  readonly #deps: JoinTokensDeps
  /** By hash. */
  readonly #entries = new Map<string, Entry>()
  /** One writes at a time; who comes meanwhile is in the next write. */
  #writing: Promise<void> | undefined
  #next: Promise<void> | undefined

  private constructor(deps: JoinTokensDeps, entries: readonly Entry[]) {
    this.#deps = deps
    for (const entry of entries) this.#entries.set(entry.hash, entry)
  }

  /** A file that cannot be read holds no token that counts: who waits for one gets another. */
  static async open(deps: JoinTokensDeps): Promise<JoinTokens> {
    const { path, log } = deps
    try {
      const text = path === undefined ? undefined : await readIfThere(path)
      const value: unknown = text === undefined ? [] : JSON.parse(text)
      if (!Array.isArray(value)) throw new Error('it is no list')
      return new JoinTokens(deps, value.filter(isEntry))
    } catch (error) {
      log.error('cannot read join tokens, those that were made count no more', { path, error })
      return new JoinTokens(deps, [])
    }
  }

  /** @throws {RangeError} When an option is out of bounds. */
  async create(options: JoinTokenOptions): Promise<JoinTokenInfo & { readonly token: string }> {
    const { namespace, serviceAccount, node, ttlMs, uses } = options
    checkOptions(options)
    this.#forgetExpired()
    if (this.#entries.size >= MAX_TOKENS) {
      throw new RangeError(`there are ${MAX_TOKENS} join tokens already; revoke some`)
    }
    const token = `${JOIN_TOKEN_PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`
    const hash = hashOf(token)
    const nowMs = this.#deps.wallMs()
    const entry: Entry = {
      id: hash.slice(0, ID_LENGTH),
      hash,
      namespace,
      serviceAccount,
      ...(node === undefined ? {} : { node }),
      createdAtMs: nowMs,
      expiresAtMs: nowMs + ttlMs,
      ...(uses === undefined ? {} : { usesLeft: uses }),
    }
    this.#entries.set(hash, entry)
    await this.#save()
    return { ...infoOf(entry), token }
  }

  /** Takes one use; resolves when that would survive a crash. */
  async redeem(token: string, node: string | undefined): Promise<Redeemed> {
    const entry = this.#entries.get(hashOf(token))
    if (entry === undefined) return refused('the join token is unknown, was revoked or has ended')
    if (this.#deps.wallMs() >= entry.expiresAtMs) return refused('the join token has ended')
    if (entry.node !== undefined && entry.node !== node) {
      return refused('the join token is for another node')
    }
    const { usesLeft, namespace, serviceAccount } = entry
    if (usesLeft !== undefined) {
      if (usesLeft <= 0) return refused('the join token was used already')
      // Before anything is waited for: of a hundred at once, one gets here.
      this.#entries.set(entry.hash, { ...entry, usesLeft: usesLeft - 1 })
      try {
        await this.#save()
      } catch (error) {
        this.#deps.log.error('cannot store the use of a join token; nothing is issued for it', {
          error,
        })
        return { ok: false, isOurFault: true, problem: 'the use of the token cannot be stored' }
      }
    }
    return { ok: true, namespace, serviceAccount }
  }

  list(): readonly JoinTokenInfo[] {
    this.#forgetExpired()
    return [...this.#entries.values()].map(infoOf)
  }

  /** False when there is none with the id. */
  async revoke(id: string): Promise<boolean> {
    const found = [...this.#entries.values()].find((entry) => entry.id === id)
    if (found === undefined) return false
    this.#entries.delete(found.hash)
    await this.#save()
    return true
  }

  #forgetExpired(): void {
    const nowMs = this.#deps.wallMs()
    for (const [hash, { expiresAtMs }] of this.#entries) {
      if (nowMs >= expiresAtMs) this.#entries.delete(hash)
    }
  }

  /** Resolves when what is known now is on disk. */
  #save(): Promise<void> {
    if (this.#deps.path === undefined) return Promise.resolve()
    if (this.#writing === undefined) return this.#write()
    this.#next ??= this.#writing
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.#write()
      })
    return this.#next
  }

  #write(): Promise<void> {
    const { path = '' } = this.#deps
    const text = `${JSON.stringify([...this.#entries.values()], undefined, 1)}\n`
    const writing = writePrivately(path, text).finally(() => {
      if (this.#writing === writing) this.#writing = undefined
    })
    this.#writing = writing
    return writing
  }
}

function checkOptions({ namespace, serviceAccount, ttlMs, uses }: JoinTokenOptions): void {
  if (!SEGMENT.test(namespace)) throw new RangeError('the namespace is no name')
  if (!SEGMENT.test(serviceAccount)) throw new RangeError('the service account is no name')
  if (!(ttlMs >= MIN_TTL_MS && ttlMs <= MAX_TTL_MS)) {
    throw new RangeError('the time to live must be 1 second to 365 days')
  }
  if (uses !== undefined && !(Number.isSafeInteger(uses) && uses >= 1)) {
    throw new RangeError('the number of uses must be at least 1')
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

function refused(problem: string): Redeemed {
  return { ok: false, isOurFault: false, problem }
}

function infoOf({ hash: _hash, ...info }: Entry): JoinTokenInfo {
  return info
}

function isEntry(value: unknown): value is Entry {
  const { hash, id, namespace, serviceAccount, expiresAtMs, usesLeft } = (value ??
    {}) as Partial<Entry>
  const texts = [hash, id, namespace, serviceAccount].every((text) => typeof text === 'string')
  // Without a number of uses it would be good for any: such an entry must have been meant so.
  const uses = usesLeft === undefined || Number.isSafeInteger(usesLeft)
  return texts && uses && typeof expiresAtMs === 'number'
}

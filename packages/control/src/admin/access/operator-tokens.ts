/**
 * Bearer tokens of operators and of their tools. 256 random bits each, of which only the SHA-256 is
 * kept, in a file for its owner's eyes (0600). A token names a user with groups, whom bindings give
 * roles, and may carry a grant of its own.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Logger } from '@weft/base'
import { readIfThere, writePrivately } from '../../ca/private-files.ts'
import { type Grant, isRole, RESERVED } from './roles.ts'

export interface OperatorTokenOptions {
  readonly user: string
  readonly groups: readonly string[]
  /** Absent: what bindings give to the user and the groups. */
  readonly grant?: Grant
  /** Absent: until it is revoked. */
  readonly ttlMs?: number
}

/** What may be told of a token; the token itself nobody knows but whom it was given to. */
export interface OperatorTokenInfo {
  readonly id: string
  readonly user: string
  readonly groups: readonly string[]
  readonly grant?: Grant
  /** Wall clock, milliseconds. */
  readonly createdAtMs: number
  readonly createdBy: string
  readonly expiresAtMs?: number
}

interface Entry extends OperatorTokenInfo {
  /** Hex SHA-256 of the token. */
  readonly hash: string
}

export interface OperatorTokensDeps {
  /** Absent: nothing is kept. */
  readonly path: string | undefined
  readonly wallMs: () => number
  readonly log: Logger
}

const PREFIX = 'wot_'
const TOKEN_BYTES = 32
const ID_LENGTH = 12
const MAX_TOKENS = 1_000
const MIN_TTL_MS = 1_000
const MAX_TTL_MS = 10 * 365 * 86_400_000
/** Printable and without blanks: it stands in logs. */
const NAME = /^[\x21-\x7e]{1,253}$/

export class OperatorTokens {
  readonly #deps: OperatorTokensDeps
  #entries: readonly Entry[]
  /** Writes follow one another. */
  #written: Promise<void> = Promise.resolve()

  private constructor(deps: OperatorTokensDeps, entries: readonly Entry[]) {
    this.#deps = deps
    this.#entries = entries
  }

  /** A file that cannot be read lets nobody in. */
  static async open(deps: OperatorTokensDeps): Promise<OperatorTokens> {
    const { path, log } = deps
    try {
      const text = path === undefined ? undefined : await readIfThere(path)
      const value: unknown = text === undefined ? [] : JSON.parse(text)
      if (!Array.isArray(value) || !value.every(isEntry)) throw new Error('it is no list of tokens')
      return new OperatorTokens(deps, value)
    } catch (error) {
      log.error('cannot read operator tokens, those that were made count no more', { path, error })
      return new OperatorTokens(deps, [])
    }
  }

  /** @throws {RangeError} When an option is out of bounds. */
  async create(
    options: OperatorTokenOptions,
    createdBy: string,
  ): Promise<OperatorTokenInfo & { readonly token: string }> {
    checkOptions(options)
    const living = this.#living()
    if (living.length >= MAX_TOKENS) {
      throw new RangeError(`there are ${MAX_TOKENS} operator tokens already; revoke some`)
    }
    const { user, groups, grant, ttlMs } = options
    const token = `${PREFIX}${randomBytes(TOKEN_BYTES).toString('base64url')}`
    const hash = hashOf(token).toString('hex')
    const nowMs = this.#deps.wallMs()
    const entry: Entry = {
      id: hash.slice(0, ID_LENGTH),
      hash,
      user,
      groups,
      ...(grant === undefined ? {} : { grant }),
      createdAtMs: nowMs,
      createdBy,
      ...(ttlMs === undefined ? {} : { expiresAtMs: nowMs + ttlMs }),
    }
    await this.#replace([...living, entry])
    return { ...infoOf(entry), token }
  }

  /** Whose a token is. Every entry is compared, each in constant time. */
  find(token: string): OperatorTokenInfo | undefined {
    const hash = hashOf(token)
    const found = this.#living().filter((entry) =>
      timingSafeEqual(Buffer.from(entry.hash, 'hex'), hash),
    )
    return found[0] === undefined ? undefined : infoOf(found[0])
  }

  byId(id: string): OperatorTokenInfo | undefined {
    const found = this.#living().find((entry) => entry.id === id)
    return found === undefined ? undefined : infoOf(found)
  }

  list(): readonly OperatorTokenInfo[] {
    return this.#living().map(infoOf)
  }

  /** False when there is none with the id. Counts no more from now on, also before it resolves. */
  async revoke(id: string): Promise<boolean> {
    const living = this.#living()
    const left = living.filter((entry) => entry.id !== id)
    if (left.length === living.length) return false
    await this.#replace(left)
    return true
  }

  #living(): readonly Entry[] {
    const nowMs = this.#deps.wallMs()
    return this.#entries.filter(({ expiresAtMs = Infinity }) => nowMs < expiresAtMs)
  }

  #replace(entries: readonly Entry[]): Promise<void> {
    this.#entries = entries
    const { path } = this.#deps
    if (path === undefined) return Promise.resolve()
    this.#written = this.#written
      .catch(() => undefined)
      .then(() => writePrivately(path, `${JSON.stringify(this.#entries, undefined, 1)}\n`))
    return this.#written
  }
}

function checkOptions({ user, groups, ttlMs }: OperatorTokenOptions): void {
  const bad = [user, ...groups].find((name) => !NAME.test(name) || RESERVED.test(name))
  if (bad !== undefined) {
    throw new RangeError(
      'users and groups are up to 253 printable characters without blanks and do not begin with system:',
    )
  }
  if (ttlMs !== undefined && !(ttlMs >= MIN_TTL_MS && ttlMs <= MAX_TTL_MS)) {
    throw new RangeError('the time to live must be 1 second to 10 years')
  }
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

function infoOf({ hash: _hash, ...info }: Entry): OperatorTokenInfo {
  return info
}

function isEntry(value: unknown): value is Entry {
  const { hash, id, user, groups, grant, expiresAtMs } = (value ?? {}) as Partial<Entry>
  return (
    [id, user].every((text) => typeof text === 'string') &&
    typeof hash === 'string' &&
    /^[0-9a-f]{64}$/.test(hash) &&
    isNames(groups) &&
    (expiresAtMs === undefined || typeof expiresAtMs === 'number') &&
    (grant === undefined || isGrant(grant))
  )
}

export function isGrant(value: unknown): value is Grant {
  const { role, namespaces } = (value ?? {}) as Partial<Grant>
  return isRole(role) && (namespaces === 'all' || (isNames(namespaces) && namespaces.length > 0))
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string')
}

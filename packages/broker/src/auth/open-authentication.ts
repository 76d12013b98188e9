/** Authentication from its options: key sets, revocations and the mesh's identity, put together. */
import type { Clock, Logger } from '@weft/base'
import type { Roots, SpiffeBundle } from '@weft/identity'
import { parseSpiffeId } from '@weft/model'
import { parseKeySet, type VerificationKey } from '@weft/traffic'
import { Authenticator } from './authenticator.ts'
import { KeyFeed } from './key-feed.ts'
import { Revocations } from './revocations.ts'
import { rootsOf } from './server-tls.ts'

/** The broker's own certificate, and whom the mesh trusts. */
interface MeshIdentity {
  /** Undefined as long as there is none that is still good. */
  held():
    | {
        readonly svid: { readonly id: string; readonly chainPem: string; readonly keyPem: string }
        readonly bundles: ReadonlyMap<string, SpiffeBundle>
      }
    | undefined
  onChange(changed: () => void): () => void
}

export interface AuthenticationOptions {
  readonly allowsAnonymous: boolean
  /** Issuers besides the mesh. */
  readonly issuers: readonly {
    /** Empty: any that the keys verify. */
    readonly issuer: string
    /** Path of a JWK set, or its URL. */
    readonly from: string
  }[]
  /** One of them must be in `aud`. */
  readonly audiences: readonly string[]
  /** Absent: the mesh's, or `cluster.local`. */
  readonly trustDomain?: string
  /** Of issuers' tokens that do not say. */
  readonly namespace: string
  readonly clockSkewMs: number
  readonly takesEndless: boolean
  /** Hosts of key sets that may be on loopback or asked over plain http, for development. */
  readonly keyHosts: readonly string[]
  readonly revokedFile?: string
  /** PEM: who else signs client certificates, of our trust domain; absent: the mesh. */
  readonly clientCaPem?: string
}

export interface AuthenticationDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly mesh?: MeshIdentity
  readonly ownerSecret?: () => Promise<string | undefined>
}

export interface Authentication {
  readonly authenticator: Authenticator
  /** Of clients that show a certificate. */
  roots(): Roots
  close(): void
}

const DEFAULT_TRUST_DOMAIN = 'cluster.local'
/** How long a token by an unknown key waits for news of the key. */
const NEWS_MS = 1_000

/** @throws {Error} When a list or a key set that was named cannot be read at the start. */
export async function openAuthentication(
  options: AuthenticationOptions,
  deps: AuthenticationDeps,
): Promise<Authentication> {
  const { clock, log, mesh, ownerSecret } = deps
  let authenticator: Authenticator | undefined
  const onChange = () => authenticator?.changed()
  const feeds = options.issuers.map(({ issuer, from }) => ({
    issuer,
    feed: new KeyFeed({ from, allowedHosts: options.keyHosts }, { clock, log, onKeys: onChange }),
  }))
  const revocations =
    options.revokedFile === undefined
      ? undefined
      : new Revocations(options.revokedFile, { clock, log, onChange })
  await revocations?.open()
  await Promise.all(feeds.map(({ feed }) => feed.open()))
  const keys = new MeshKeys(mesh, clock)
  const stopHearing = mesh?.onChange(() => {
    if (keys.read()) onChange()
  })
  const trustDomain = () => options.trustDomain ?? keys.trustDomain ?? DEFAULT_TRUST_DOMAIN
  authenticator = new Authenticator(
    {
      tokens: {
        issuers: feeds.map(({ issuer, feed }) => ({ issuer, keys: feed, ...options })),
        ...(mesh === undefined
          ? {}
          : { meshKeys: (name) => keys.of(name), meshNews: () => keys.news() }),
        audiences: options.audiences,
        get trustDomain() {
          return trustDomain()
        },
        namespace: options.namespace,
        clockSkewMs: options.clockSkewMs,
        isRevoked: (id) => revocations?.has(id) ?? false,
      },
      allowsAnonymous: options.allowsAnonymous,
      ...(ownerSecret === undefined ? {} : { ownerSecret }),
    },
    { clock, log },
  )
  const problems = feeds.flatMap(({ feed }) => feed.problem ?? [])
  const opened: Authentication = {
    authenticator,
    roots: () =>
      options.clientCaPem === undefined ? keys.roots : rootsOf(trustDomain(), options.clientCaPem),
    close() {
      stopHearing?.()
      authenticator?.close()
      revocations?.close()
      for (const { feed } of feeds) feed.close()
    },
  }
  if (problems.length === 0) return opened
  opened.close()
  throw new Error(problems.join('; '))
}

/** What the mesh's bundles hold, read once for each change. */
class MeshKeys {
  readonly #mesh: MeshIdentity | undefined
  readonly #clock: Clock
  #waiting: (() => void)[] = []
  #text = ''
  #keys = new Map<string, readonly VerificationKey[]>()
  roots: Roots = new Map()
  trustDomain: string | undefined

  constructor(mesh: MeshIdentity | undefined, clock: Clock) {
    this.#mesh = mesh
    this.#clock = clock
    this.read()
  }

  /** Resolves when something is new, or after a second. */
  news(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(NEWS_MS, resolve)
      this.#waiting.push(() => {
        cancel()
        resolve()
      })
    })
  }

  of(trustDomain: string): readonly VerificationKey[] {
    return this.#keys.get(trustDomain) ?? []
  }

  /** @returns Whether there was anything new. */
  read(): boolean {
    const held = this.#mesh?.held()
    if (held === undefined) return false
    const parsed = parseSpiffeId(held.svid.id)
    this.trustDomain = parsed.ok ? parsed.id.trustDomain : undefined
    this.roots = new Map([...held.bundles].map(([name, { roots }]) => [name, roots]))
    const sets = [...held.bundles].map(([name, bundle]) => [name, keySetOf(bundle)] as const)
    const text = JSON.stringify(sets)
    if (text === this.#text) return false
    this.#text = text
    this.#keys = new Map(sets.map(([name, set]) => [name, keysIn(set)]))
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
    return true
  }
}

/** SPIFFE's `use` says what a key is for in its own words, which readers of key sets do not know. */
function keySetOf({ jwtKeys }: SpiffeBundle): string {
  return JSON.stringify({ keys: jwtKeys.map(({ use: _use, ...key }) => key) })
}

/** A bundle without keys for tokens is no error: nobody of it has one. */
function keysIn(set: string): readonly VerificationKey[] {
  try {
    return parseKeySet(set).keys
  } catch {
    return []
  }
}

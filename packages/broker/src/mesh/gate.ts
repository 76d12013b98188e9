/**
 * What a sidecar's listener asks before a request passes: its token, who may call, how much at
 * once. Decisions are those of the sidecar; a refusal is its answer.
 */
import type { LocalRateLimit, RateLimitService } from '@weft/model'
import {
  type Caller,
  type CallerRequest,
  countedDescriptorsOf,
  type DescriptorFacts,
  decideRbac,
  descriptorsOf,
  type FieldChanges,
  type GlobalLimitCheck,
  JwtJudge,
  type LimitGrant,
  LocalLimiter,
  type ProviderVerifier,
  type TokenCall,
  type VerifiedToken,
} from '@weft/traffic'
import type { GateRules, LocalRule } from './gate-rules.ts'

type Fields = readonly (readonly [name: string, value: string])[]

export interface GateRefusal {
  readonly status: number
  readonly body: string
  readonly headers: Fields
  /** Of the access log. */
  readonly flag: string
  /** Why, in the words of the access log; for who hears no headers. */
  readonly details?: string
}

/** One call, and what is known of its caller. */
export interface GateCall extends TokenCall {
  readonly caller: Omit<Caller, 'request'>
  /** Verified before it came here: the caller's own, shown in SETUP. */
  readonly peerTokens: readonly VerifiedToken[]
  /** The same object for each call of one connection. */
  readonly connection: object
}

export interface Judgement {
  /** Absent: the call may pass. */
  readonly refusal?: GateRefusal
  readonly tokens: readonly VerifiedToken[]
  readonly metadata: Readonly<Record<string, unknown>>
  /** What the token's verification does to the request's head. */
  readonly changes: readonly FieldChanges[]
}

export interface GateDeps {
  /** Uniform in [0, 1). */
  readonly random: () => number
  /** Monotonic. */
  readonly nowMs: () => number
  /** Wall clock. */
  readonly wallMs: () => number
  readonly verifierOf: (
    provider: ConstructorParameters<typeof ProviderVerifier>[0],
  ) => ProviderVerifier
  /** Buckets live on while the limit stays the same. */
  limiterOf(rule: LocalRule): LocalLimiter
  /** The way to who counts for all. */
  askerOf(service: RateLimitService): GlobalLimitCheck['asker']
  /** The workload whose gate it is, as limits name it. */
  readonly serviceCluster: string
}

const JWT_FILTER = 'envoy.filters.http.jwt_authn'
const DENIED: GateRefusal = { status: 403, body: 'RBAC: access denied', headers: [], flag: '-' }

export class Gate {
  readonly #rules: GateRules
  readonly #deps: GateDeps
  readonly #judges: readonly JwtJudge[]
  readonly #limits: readonly { readonly rule: LocalRule; readonly limiter: LocalLimiter }[]
  readonly #askers: readonly GlobalLimitCheck['asker'][]
  readonly #perConnection = new WeakMap<object, Map<LocalRateLimit, LocalLimiter>>()

  constructor(rules: GateRules, deps: GateDeps) {
    this.#rules = rules
    this.#deps = deps
    this.#judges = rules.tokens.map(
      ({ authentication, requirement }) =>
        new JwtJudge(authentication, requirement, deps.verifierOf),
    )
    this.#limits = rules.limits.map((rule) => ({ rule, limiter: deps.limiterOf(rule) }))
    this.#askers = rules.globals.map(({ service }) => deps.askerOf(service))
  }

  /** Nothing is asked. */
  get isOpen(): boolean {
    const { tokens, rbac, limits, globals } = this.#rules
    return tokens.length + rbac.length + limits.length + globals.length === 0
  }

  /** Somebody else counts the calls: who may pass is not known at once. */
  get asksOthers(): boolean {
    return this.#rules.globals.length > 0
  }

  /** It looks at tokens, asks others, or puts something on answers: each call is seen to. */
  get changesHeads(): boolean {
    if (this.#judges.length > 0 || this.asksOthers) return true
    return this.#limits.some(({ rule }) => rule.limit.headers)
  }

  /** Keys that have to come first. */
  pending(call: TokenCall): readonly Promise<void>[] {
    return this.#judges.flatMap((judge) => judge.pending(call, this.#deps.wallMs()))
  }

  /** Everything but limits: the same for equal calls. */
  judge(call: GateCall): Judgement {
    const tokens: VerifiedToken[] = []
    const metadata: Record<string, unknown> = {}
    const changes: FieldChanges[] = []
    for (const judge of this.#judges) {
      const verdict = judge.judge(call, this.#deps.wallMs())
      if (!verdict.ok) {
        const { status, body = '', headers } = verdict
        return { refusal: { status, body, headers, flag: '-' }, tokens, metadata, changes }
      }
      tokens.push(...verdict.tokens)
      Object.assign(metadata, verdict.metadata)
      changes.push(verdict.changes)
    }
    if (tokens.length === 0) tokens.push(...call.peerTokens)
    const caller = { ...call.caller, request: requestOf(call, tokens, metadata) }
    const isDenied = this.#rules.rbac.some((rules) => !decideRbac(rules, caller).allowed)
    return { ...(isDenied ? { refusal: DENIED } : {}), tokens, metadata, changes }
  }

  /**
   * Takes a token of each limit; called for each try of a call.
   *
   * @param stamps Gets what the answer is to say of limits.
   */
  limit(
    call: GateCall,
    { metadata }: Judgement,
    stamps: (readonly [string, string])[],
  ): GateRefusal | undefined {
    for (const { rule, limiter } of this.#limits) {
      const { limit } = rule
      if (!hits(limit.enabledPercent, this.#deps.random)) continue
      const { allowed, headers } = this.#ask(rule, limiter, call, metadata)
      if (allowed || !hits(limit.enforcedPercent, this.#deps.random)) {
        stamps.push(...headers)
        continue
      }
      const own = limit.responseHeaders.map(({ name, value }) => [name, value] as const)
      const { status } = limit
      return { status, body: 'local_rate_limited', headers: [...headers, ...own], flag: 'RL' }
    }
    return undefined
  }

  /** What others count the call by, for the limits that it meets. */
  globalChecks(call: GateCall, { metadata }: Judgement): readonly GlobalLimitCheck[] {
    const facts = this.#factsOf(call, metadata)
    return this.#rules.globals.flatMap(({ service, actions, isLeased }, index) => {
      const asker = this.#askers[index]
      const descriptors = countedDescriptorsOf(actions, facts)
      if (asker === undefined || descriptors.length === 0) return []
      return [{ service, isLeased, descriptors, asker }]
    })
  }

  #factsOf({ request, caller }: GateCall, metadata: Judgement['metadata']): DescriptorFacts {
    const { principals, remoteIp: remoteHost } = caller
    return {
      ...{ request, remoteHost },
      principal: principals?.[0],
      metadata: { valueAt: (filter, path) => valueAt(metadata, filter, path) },
      sourceCluster: this.#deps.serviceCluster,
      destinationCluster: this.#rules.destinationCluster,
    }
  }

  #ask(
    { limit, actions }: LocalRule,
    shared: LocalLimiter,
    call: GateCall,
    metadata: Judgement['metadata'],
  ): { readonly allowed: boolean; readonly headers: Fields } {
    const limiter = limit.perConnection ? this.#ofConnection(limit, call.connection) : shared
    const atMs = this.#deps.nowMs()
    const descriptors =
      limit.descriptors.length === 0 ? [] : descriptorsOf(actions, this.#factsOf(call, metadata))
    const { allowed, bucket } = limiter.check(descriptors, atMs)
    if (!limit.headers) return { allowed, headers: [] }
    const [maxTokens, remaining] = [bucket.maxTokens, bucket.remaining(atMs)]
    return {
      allowed,
      headers: limitFields({ maxTokens, remaining, resetMs: bucket.resetMs(atMs) }),
    }
  }

  #ofConnection(limit: LocalRateLimit, connection: object): LocalLimiter {
    const known = this.#perConnection.get(connection) ?? new Map<LocalRateLimit, LocalLimiter>()
    this.#perConnection.set(connection, known)
    let limiter = known.get(limit)
    if (limiter === undefined) {
      limiter = new LocalLimiter(limit, this.#deps.nowMs())
      known.set(limit, limiter)
    }
    return limiter
  }
}

function requestOf(
  { request, fieldLines }: GateCall,
  tokens: readonly VerifiedToken[],
  metadata: Judgement['metadata'],
): CallerRequest {
  const { method, scheme, authority, path } = request
  return {
    ...{ method, scheme, authority, path, tokens },
    header: (name) => request.header(name),
    headerValues: fieldLines,
    metadata: (filter) => (filter === JWT_FILTER ? metadata : undefined),
  }
}

function valueAt(metadata: unknown, filter: string, path: readonly string[]): unknown {
  if (filter !== JWT_FILTER) return undefined
  let value = metadata
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  return value
}

function hits(percent: number, random: () => number): boolean {
  return percent >= 100 || random() * 100 < percent
}

/** Draft version 3 of the RateLimit header fields. */
function limitFields({ maxTokens, remaining, resetMs }: Omit<LimitGrant, 'tokens'>): Fields {
  return [
    ['x-ratelimit-limit', String(maxTokens)],
    ['x-ratelimit-remaining', String(remaining)],
    ['x-ratelimit-reset', String(Math.ceil(resetMs / 1_000))],
  ]
}

/** The gates of all kinds of workloads: verifiers of tokens and buckets of limits outlive a push. */
import type { Clock, Logger } from '@weft/base'
import type { JwtProvider, LocalRateLimit } from '@weft/model'
import { type FetchedKeys, LocalLimiter, ProviderVerifier, RemoteKeys } from '@weft/traffic'
import { Gate, type GateDeps } from './gate.ts'
import type { GateRules } from './gate-rules.ts'
import type { WorkloadKind } from './workload-feeds.ts'

export interface GatesDeps extends Pick<GateDeps, 'random' | 'nowMs' | 'wallMs'> {
  readonly clock: Clock
  readonly log: Logger
  /** Asks an issuer for its keys. */
  fetchKeys(uri: string, timeoutMs: number): Promise<FetchedKeys>
}

/** Issuers and key sets that are remembered; the oldest is forgotten first. */
const MAX_REMEMBERED = 256

export class Gates {
  readonly #deps: GatesDeps
  readonly #gates = new WeakMap<GateRules, Gate>()
  readonly #verifiers = new Map<string, ProviderVerifier>()
  readonly #keys = new Map<string, RemoteKeys>()
  readonly #limiters = new WeakMap<WorkloadKind, Map<string, LocalLimiter>>()

  constructor(deps: GatesDeps) {
    this.#deps = deps
  }

  /** @param kind Whose limits they are. */
  of(rules: GateRules, kind: WorkloadKind): Gate {
    let gate = this.#gates.get(rules)
    if (gate === undefined) {
      gate = new Gate(rules, {
        ...this.#deps,
        verifierOf: (provider) => this.#verifierOf(provider),
        limiterOf: (limit) => this.#limiterOf(limit, kind),
      })
      this.#gates.set(rules, gate)
    }
    return gate
  }

  #verifierOf(provider: JwtProvider): ProviderVerifier {
    return remembered(
      this.#verifiers,
      JSON.stringify(provider),
      () => new ProviderVerifier(provider, this.#remoteKeys(provider)),
    )
  }

  /** One for all providers of the same keys: who asks does not matter to the issuer (R63). */
  #remoteKeys({ keys }: JwtProvider): RemoteKeys | undefined {
    if (keys.kind === 'inline') return undefined
    const { clock, log, fetchKeys } = this.#deps
    const { uri, cacheMs, timeoutMs } = keys
    const fetch = (from: string) => fetchKeys(from, timeoutMs)
    return remembered(
      this.#keys,
      JSON.stringify(keys),
      () => new RemoteKeys(uri, cacheMs, { clock, log, fetch }),
    )
  }

  #limiterOf(limit: LocalRateLimit, kind: WorkloadKind): LocalLimiter {
    const known = this.#limiters.get(kind) ?? new Map<string, LocalLimiter>()
    this.#limiters.set(kind, known)
    const make = () => new LocalLimiter(limit, this.#deps.nowMs())
    return remembered(known, JSON.stringify(limit), make)
  }
}

function remembered<T>(known: Map<string, T>, key: string, make: () => T): T {
  const value = known.get(key) ?? make()
  known.delete(key)
  known.set(key, value)
  const [oldest] = known.keys()
  if (known.size > MAX_REMEMBERED && oldest !== undefined) known.delete(oldest)
  return value
}

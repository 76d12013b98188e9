/** The gates of all kinds of workloads: verifiers of tokens and buckets of limits outlive a push. */
import type { Clock, Logger } from '@weft/base'
import type { JwtProvider, RateLimitService } from '@weft/model'
import { type FetchedKeys, Leases, LocalLimiter, ProviderVerifier, RemoteKeys } from '@weft/traffic'
import { RateLimitAsker, type ServiceQuestion } from '@weft/xds'
import { Gate, type GateDeps } from './gate.ts'
import type { GateRules, LocalRule } from './gate-rules.ts'
import type { WorkloadKind } from './workload-feeds.ts'

export interface GatesDeps extends Pick<GateDeps, 'random' | 'nowMs' | 'wallMs'> {
  readonly clock: Clock
  readonly log: Logger
  /**
   * Asks a gRPC service that the kind's sidecar knows as a cluster, as that sidecar would.
   *
   * @returns Cancels. `done` gets `undefined` when nobody answered.
   */
  askService(
    kind: WorkloadKind,
    cluster: string,
    question: ServiceQuestion,
    done: (message: Uint8Array | undefined) => void,
  ): () => void
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
  /** Shares of what the control plane counts, whoever they are for. */
  readonly leases: Leases

  constructor(deps: GatesDeps) {
    this.#deps = deps
    this.leases = new Leases(deps.clock)
  }

  /** @param kind Whose limits they are. */
  of(rules: GateRules, kind: WorkloadKind): Gate {
    let gate = this.#gates.get(rules)
    if (gate === undefined) {
      gate = new Gate(rules, {
        ...this.#deps,
        verifierOf: (provider) => this.#verifierOf(provider),
        limiterOf: (rule) => this.#limiterOf(rule, kind),
        askerOf: (service) => this.#askerOf(service, kind),
        serviceCluster: `${kind.workload.name}.${kind.workload.namespace}`,
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

  #limiterOf({ limit, ofRoute }: LocalRule, kind: WorkloadKind): LocalLimiter {
    const known = this.#limiters.get(kind) ?? new Map<string, LocalLimiter>()
    this.#limiters.set(kind, known)
    const make = () => new LocalLimiter(limit, this.#deps.nowMs())
    return remembered(known, JSON.stringify([ofRoute, limit]), make)
  }

  #askerOf(service: RateLimitService, kind: WorkloadKind): RateLimitAsker {
    const { askService } = this.#deps
    return new RateLimitAsker(service, (question, done) =>
      askService(kind, service.cluster, question, done),
    )
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

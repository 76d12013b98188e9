/**
 * What every load balancing policy is. One file beside this one per policy; the
 * list of them is `catalog.ts`.
 *
 *     policy(settings)(candidates, deps)   once per set of eligible hosts
 *     pick(request)                        per attempt; synchronous, allocates nothing
 *
 * A policy sees hosts that are eligible already: health, priorities and
 * localities are settled before (`cluster-balancer.ts`).
 */
import type { SocketAddress } from '@weft/model'
import type { Host } from './host.ts'

export type LoadBalancerPolicy = (candidates: readonly Candidate[], deps: BalancerDeps) => Balancer

export interface Candidate {
  readonly host: Host
  /** Share among the candidates; > 0. */
  readonly weight: number
}

export interface BalancerDeps {
  /** Uniform in [0, 1). */
  random(): number
  /** Monotonic, in milliseconds; only asked by what depends on time. */
  nowMs(): number
}

export interface Balancer {
  /** `undefined` only when every candidate was tried or there is none. */
  pick(request: PickRequest): Host | undefined
}

export interface PickRequest {
  /** Unsigned 32-bit; `undefined` when no hash policy yields one. */
  readonly hash: number | undefined
  /** Hosts that this request had already; `undefined` on the first attempt. */
  readonly tried: ReadonlySet<Host> | undefined
  /** The host of the client's session: taken as long as it is there and may be used. */
  readonly preferred?: SocketAddress
  /**
   * A priority without hosts that were tried: rather than any that was (`first`), or rather than a
   * host that was (`last`).
   */
  readonly otherPriority?: 'first' | 'last'
}

export const FIRST_PICK: PickRequest = { hash: undefined, tried: undefined }

/** Whether all candidates have the same share, so that the cheap variant of a policy will do. */
export function isEvenlyWeighted(candidates: readonly Candidate[]): boolean {
  const weight = candidates[0]?.weight
  return candidates.every((candidate) => candidate.weight === weight)
}

/** For the rare case that a policy keeps meeting hosts that were tried. */
export function firstUntried(
  candidates: readonly Candidate[],
  tried: ReadonlySet<Host> | undefined,
): Host | undefined {
  for (const { host } of candidates) if (tried?.has(host) !== true) return host
  return undefined
}

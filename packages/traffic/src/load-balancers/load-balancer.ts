/**
 * What every load balancing policy is. One file beside this one per policy; the
 * list of them is `catalog.ts`.
 *
 *     policy(hosts, deps)   once per set of eligible hosts
 *     pick(request)         per attempt; synchronous, allocates nothing
 *
 * A policy sees hosts that are eligible already: health, priorities and
 * localities are settled before (`cluster-balancer.ts`).
 */
import type { Host } from './host.ts'

export type LoadBalancerPolicy = (hosts: readonly Host[], deps: BalancerDeps) => Balancer

export interface BalancerDeps {
  /** Uniform in [0, 1). */
  random(): number
}

export interface Balancer {
  /** `undefined` only when every host was tried or there is none. */
  pick(request: PickRequest): Host | undefined
}

export interface PickRequest {
  /** Unsigned 32-bit; absent when no hash policy yields one. */
  readonly hash: number | undefined
  /** Hosts that this request must not get again; absent on the first attempt. */
  readonly tried: ReadonlySet<Host> | undefined
}

export const FIRST_PICK: PickRequest = { hash: undefined, tried: undefined }

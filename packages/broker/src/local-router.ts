/**
 * Routes by name alone, without a control plane: whoever offers the service may be called by
 * whoever was let in. Mesh policy comes from a router that is fed by xDS.
 */
import { type GsvRoute, gsvServiceKey, RSOCKET_ERROR } from '@weft/wire'
import type { BrokerService } from './broker-service.ts'
import { pickSticky, selectLegs } from './gsv-pick.ts'
import type { Leg } from './leg.ts'
import { type PickDeps, pickLeg } from './pick-leg.ts'
import type { Registry } from './registry.ts'
import type { RequestCall } from './request-call.ts'
import type { Router, RouteVerdict } from './router.ts'

/** A request that was certainly not processed goes to one other responder. */
const RETRIES = 1

export class LocalRouter implements Router {
  readonly #registry: Registry
  readonly #service: BrokerService
  readonly #deps: PickDeps

  constructor(registry: Registry, service: BrokerService, deps: PickDeps) {
    this.#registry = registry
    this.#service = service
    this.#deps = deps
  }

  get version(): number {
    return this.#registry.version
  }

  route(leg: Leg, call: RequestCall): RouteVerdict {
    const own = this.#service.answer(leg, call)
    if (own !== undefined) return own
    const legs = candidates(this.#registry, call.route)
    if (legs.length === 0) {
      const message = `WEFT-404 nobody offers ${gsvServiceKey(call.route)}`
      return { kind: 'refuse', code: RSOCKET_ERROR.rejected, message }
    }
    const { timeoutMs, route } = call
    const serviceKey = gsvServiceKey(route)
    return {
      kind: 'forward',
      isLasting: true,
      pick: (tried) =>
        route.sticky
          ? pickSticky(leg, serviceKey, legs, tried, this.#deps)
          : pickLeg(legs, tried, this.#deps),
      retries: legs.length > 1 ? RETRIES : 0,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    }
  }
}

/**
 * The key's last segment is its method – unless the whole key is a service, which is how callers
 * without methods name it. An endpoint selector narrows to instances that offer the service.
 */
function candidates(registry: Registry, route: GsvRoute): readonly Leg[] {
  let legs = registry.find(gsvServiceKey(route))
  if (legs.length === 0 && route.method !== '') {
    legs = registry.find(gsvServiceKey({ ...route, service: `${route.service}.${route.method}` }))
  }
  return selectLegs(legs, route)
}

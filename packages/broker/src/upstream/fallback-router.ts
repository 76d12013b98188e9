/** Where a call goes that nobody here answers. */
import type { Leg } from '../leg.ts'
import type { RequestCall } from '../request-call.ts'
import type { Router, RouteVerdict } from '../router.ts'

/** Undefined: nowhere. */
export type Fallback = (leg: Leg, call: RequestCall) => RouteVerdict | undefined

/** What refusals of calls to nobody begin with. */
const NOBODY = 'WEFT-404'

export class FallbackRouter implements Router {
  readonly #router: Router
  readonly #fallback: Fallback

  constructor(router: Router, fallback: Fallback) {
    this.#router = router
    this.#fallback = fallback
  }

  get version(): number {
    return this.#router.version
  }

  route(leg: Leg, call: RequestCall): RouteVerdict | Promise<RouteVerdict> {
    const verdict = this.#router.route(leg, call)
    if (!(verdict instanceof Promise)) return this.#or(leg, call, verdict)
    return verdict.then((found) => this.#or(leg, call, found))
  }

  #or(leg: Leg, call: RequestCall, verdict: RouteVerdict): RouteVerdict {
    if (verdict.kind !== 'refuse' || !verdict.message.startsWith(NOBODY)) return verdict
    return this.#fallback(leg, call) ?? verdict
  }
}

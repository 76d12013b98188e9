/** Where a call goes that nobody here answers, and whether there is somebody at all. */
import { RSOCKET_ERROR } from '@weft/wire'
import type { ClusterPort } from '../cluster/cluster-port.ts'
import type { Leg } from '../leg.ts'
import type { RequestCall } from '../request-call.ts'
import type { Router, RouteVerdict } from '../router.ts'

/** Undefined: nowhere. */
export type Fallback = (leg: Leg, call: RequestCall) => RouteVerdict | undefined

/** What refusals of calls to nobody begin with. */
const NOBODY = 'WEFT-404'

export class FallbackRouter implements Router {
  readonly #router: Router
  readonly #fallback: Fallback | undefined
  readonly #cluster: Pick<ClusterPort, 'offers'> | undefined

  constructor(
    router: Router,
    fallback: Fallback | undefined,
    cluster: Pick<ClusterPort, 'offers'> | undefined,
  ) {
    this.#router = router
    this.#fallback = fallback
    this.#cluster = cluster
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
    return this.#fallback?.(leg, call) ?? this.#away(call) ?? verdict
  }

  /** Known, but behind a broker that is not reached now: not the same as unknown. */
  #away({ route }: RequestCall): RouteVerdict | undefined {
    const { service, method } = route
    const name = [service, `${service}.${method}`].find((each) => this.#cluster?.offers(each))
    if (name === undefined) return undefined
    const message = `WEFT-503 the broker at which ${name} is connected is not reached`
    return { kind: 'refuse', code: RSOCKET_ERROR.rejected, message }
  }
}

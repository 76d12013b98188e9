/**
 * Exchanges between two requests: the objects are large and every request needs one. Only one
 * whose request went the plain way serves another: whoever still holds one that did not must
 * never speak to a stranger's request.
 */
import type { ClientSide } from './client-side.ts'
import type { EngineDeps, HttpRuntime } from './contract.ts'
import { Exchange } from './exchange.ts'

const MAX_SPARE = 256

export class ExchangePool {
  readonly #deps: EngineDeps
  readonly #spare: Exchange[] = []
  /** Exchanges that began, ever. */
  begun = 0
  /** Of these, those that run. */
  active = 0

  constructor(deps: EngineDeps) {
    this.#deps = deps
  }

  take(downstream: ClientSide, runtime: HttpRuntime): Exchange {
    const exchange = this.#spare.pop() ?? new Exchange(this.#deps, downstream, runtime, this)
    exchange.renew(downstream, runtime)
    this.begun++
    this.active++
    return exchange
  }

  giveBack(exchange: Exchange, isReusable: boolean): void {
    this.active--
    if (isReusable && this.#spare.length < MAX_SPARE) this.#spare.push(exchange)
  }
}

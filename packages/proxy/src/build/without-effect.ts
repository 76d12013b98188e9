/** What a configuration may ask for and this proxy does not do yet: said once, not passed over. */
import type { Logger } from '@weft/base'
import type {
  AdaptiveConcurrency,
  FilterOverrides,
  HttpConnectionManager,
  RouteTable,
} from '@weft/model'

export class WithoutEffect {
  readonly #log: Logger
  readonly #said = new Set<string>()

  constructor(log: Logger) {
    this.#log = log
  }

  note(listener: string, manager: HttpConnectionManager, table: RouteTable): void {
    const concurrency = manager.filters.find(({ kind }) => kind === 'adaptiveConcurrency')
    if (concurrency?.kind !== 'adaptiveConcurrency') return
    if (isOn(concurrency.settings) || overridesOf(table).some(limitsConcurrency)) {
      this.#say('adaptiveConcurrency', listener)
    }
  }

  #say(what: string, listener: string): void {
    if (this.#said.has(what)) return
    this.#said.add(what)
    this.#log.warn(`accepted, has no effect yet: ${what}`, { listener })
  }
}

function isOn(settings: AdaptiveConcurrency | undefined): boolean {
  return settings?.enabled === true
}

function limitsConcurrency(overrides: FilterOverrides | undefined): boolean {
  return isOn(overrides?.adaptiveConcurrency)
}

function overridesOf({ virtualHosts }: RouteTable): (FilterOverrides | undefined)[] {
  return virtualHosts.flatMap(({ filters, routes }) => [
    filters,
    ...routes.map((route) => route.filters),
  ])
}

/** What the filters without settings count, under Envoy's names: faults and origins. */
import type { RequestView, Route } from '@weft/model'
import { isAllowedOrigin } from './cors.ts'
import type { BoundFilter, FilterScope, FilterVerdict, HttpFilter } from './http-filter.ts'

/** `undefined`: nobody counts. */
export function countedFilter(
  filter: HttpFilter,
  { deps, runtime, route }: FilterScope,
): BoundFilter | undefined {
  const { filterStats, random } = deps
  if (filterStats === undefined) return undefined
  const owner = { kind: 'http', name: runtime.manager.statPrefix } as const
  const counter = (leaf: string) => filterStats.counter(owner, leaf)
  const note =
    filter.name === 'fault'
      ? countFaults(counter('fault.delays_injected'), counter('fault.aborts_injected'))
      : countOrigins(route, counter('cors.origin_valid'), counter('cors.origin_invalid'))
  return {
    onRequest({ request }) {
      const verdict = filter.onRequest(route, request, random)
      note(request, verdict)
      return verdict
    },
  }
}

type Count = () => void
type Note = (request: RequestView, verdict: FilterVerdict) => void

/** An abort that a delay comes before counts with it: it is decided already. */
function countFaults(delays: Count, aborts: Count): Note {
  return (_request, verdict) => {
    if (verdict?.kind === 'delay') delays()
    const last = verdict?.kind === 'delay' ? verdict.then : verdict
    if (last?.kind === 'reply') aborts()
  }
}

function countOrigins(route: Route, valid: Count, invalid: Count): Note {
  return (request) => {
    const origin = request.header('origin')
    if (origin === undefined || route.cors === undefined) return
    if (isAllowedOrigin(route.cors, origin)) valid()
    else invalid()
  }
}

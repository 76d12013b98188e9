/** The filters of a broker, as a table. */
import type { FilterRow } from '@weft/broker'
import { columns } from '../terminal/columns.ts'

export function renderFilters(filters: readonly FilterRow[]): string {
  if (filters.length === 0) return 'The broker has no filters: `weft broker --filter FILE|DIR`\n'
  const rows = filters.map((filter) => [
    filter.name,
    filter.problem === undefined ? filter.state : `${filter.state}, stale`,
    `${filter.phase} ${filter.priority}`.trim(),
    filter.services.join(', '),
    filter.needs.join(', ') || '-',
    filter.failStrategy === 'FAIL_OPEN' ? 'open' : 'close',
    String(filter.generation),
    String(filter.streams),
    String(filter.failures),
  ])
  const head = ['FILTER', 'STATE', 'PHASE', 'SERVICES', 'NEEDS', 'FAILS', 'LOAD', 'STREAMS']
  const table = columns([[...head, 'FAILURES'], ...rows])
  const problems = filters
    .filter(({ problem }) => problem !== undefined)
    .map(({ file, problem }) => `${file} was not taken as it is now: ${problem}\n`)
  const failures = filters
    .filter(({ lastFailure }) => lastFailure !== undefined)
    .map(({ name, lastFailure }) => `${name} failed last with: ${lastFailure}\n`)
  return `${table}${problems.join('')}${failures.join('')}`
}

/** The filters of `weft broker --filter`. */
import { readFile } from 'node:fs/promises'
import type { Clock, LogScopes } from '@weft/base'
import { FILTER_TYPES_FILE, FilterSet } from '@weft/broker'
import { CommandError } from '../command.ts'

/** @throws {CommandError} When one does not load: a broker without a filter it should have does not start. */
export async function openFilters(
  paths: readonly string[],
  { clock, logs }: { readonly clock: Clock; readonly logs: LogScopes },
): Promise<FilterSet | undefined> {
  if (paths.length === 0) return undefined
  try {
    return await FilterSet.open({ paths }, { clock, log: logs.logger('filter') })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const hint = 'What filters are: `weft broker --filter types`, and docs/broker.md'
    throw new CommandError(`--filter: ${why}`, 1, { cause, hint })
  }
}

/** What filters are written against, as TypeScript. */
export function filterTypes(): Promise<string> {
  return readFile(FILTER_TYPES_FILE, 'utf8')
}

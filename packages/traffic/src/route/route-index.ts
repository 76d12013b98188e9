/** Finds the first matching route of a long list without walking it. */
import type { RequestView } from '@weft/model'
import type { CompiledRoute } from './compiled.ts'

export interface RouteIndex {
  find(
    request: RequestView,
    path: string,
    query: string | undefined,
    isConnect: boolean,
  ): CompiledRoute | undefined
}

/** One header or query predicate, compiled. */
import type { RequestView } from '@weft/model'

export interface FieldMatcher {
  /** @param query What follows `?`; `undefined` when there is none. */
  matches(request: RequestView, query: string | undefined): boolean
}

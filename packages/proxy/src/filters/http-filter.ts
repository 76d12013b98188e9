/**
 * What every HTTP filter is. One file beside this one per filter; the list of
 * them is `catalog.ts`. The router is implied as the last one.
 *
 *     onRequest    after the route was found, in the listener's order
 *     onResponse   before the answer's head is written
 *
 * Filters have no state of their own: what they need is in the route.
 */
import type { HttpFilterName, RequestView, Route } from '@weft/model'
import type { EncodedHeaders } from '../exchange/encoded-headers.ts'
import type { Failure } from '../exchange/failures.ts'
import type { LocalReply } from '../exchange/write-response.ts'

export interface HttpFilter {
  readonly name: HttpFilterName
  onRequest(route: Route, request: RequestView, random: () => number): FilterVerdict
  /** Changes to the answer's head; `undefined` for none. */
  onResponse?(route: Route, request: RequestView): EncodedHeaders | undefined
}

/** `undefined` goes on. */
export type FilterVerdict =
  | undefined
  | { readonly kind: 'reply'; readonly reply: LocalReply; readonly failure?: Failure }
  /** Waits, then does what `then` says. */
  | { readonly kind: 'delay'; readonly delayMs: number; readonly then: FilterVerdict }

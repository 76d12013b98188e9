/** Every HTTP filter by the name that configuration uses. Adding one is adding a line. */
import type { HttpFilterName } from '@weft/model'
import { cors } from './cors.ts'
import { fault } from './fault.ts'
import type { HttpFilter } from './http-filter.ts'

export const httpFilters: Readonly<Partial<Record<HttpFilterName, HttpFilter>>> = {
  cors,
  fault,
}

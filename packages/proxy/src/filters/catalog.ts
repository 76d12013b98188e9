/** Every HTTP filter by the name that configuration uses. */
import type { HttpFilterName } from '@weft/model'
import { buffer } from './buffer.ts'
import { cors } from './cors.ts'
import { csrf } from './csrf.ts'
import { fault } from './fault.ts'
import type { HttpFilter } from './http-filter.ts'
import { localRateLimit } from './local-rate-limit.ts'
import { rateLimit } from './rate-limit.ts'

/** What these need is in the route. */
export const httpFilters: Readonly<Partial<Record<HttpFilterName, HttpFilter>>> = { cors, fault }

/** These have settings. */
export const boundFilters = { csrf, localRateLimit, rateLimit, buffer } as const

/** Every HTTP filter by the name that configuration uses. */
import type { HttpFilterName } from '@weft/model'
import { adaptiveConcurrency } from './adaptive-concurrency.ts'
import { buffer } from './buffer.ts'
import { compressor } from './compressor.ts'
import { cors } from './cors.ts'
import { csrf } from './csrf.ts'
import { extAuthz } from './ext-authz.ts'
import { fault } from './fault.ts'
import { grpcWeb } from './grpc-web.ts'
import type { HttpFilter } from './http-filter.ts'
import { jwtAuthn } from './jwt-authn.ts'
import { localRateLimit } from './local-rate-limit.ts'
import { rateLimit } from './rate-limit.ts'
import { rbac } from './rbac.ts'

// not a member: denial-note.ts
// not a member: rbac-step.ts
// not a member: accept-encoding.ts
// not a member: bound-filters.ts
// not a member: filter-memory.ts
// not a member: filters-fixture.ts
// not a member: plain-stats.ts
// Chooses the endpoint rather than an answer, so it acts where hosts are chosen.
// not a member: stateful-session.ts

/** What these need is in the route. */
export const httpFilters: Readonly<Partial<Record<HttpFilterName, HttpFilter>>> = { cors, fault }

/** These have settings. */
export const boundFilters = {
  csrf,
  localRateLimit,
  rateLimit,
  adaptiveConcurrency,
  grpcWeb,
  jwtAuthn,
  extAuthz,
  buffer,
  compressor,
  rbac,
} as const

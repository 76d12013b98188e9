/**
 * `RateLimit` (weft.io): how many requests get through, counted for all together
 * or for each value of some property of theirs.
 */

import {
  atMostOne,
  boolean,
  defaulted,
  type Infer,
  integer,
  list,
  map,
  object,
  oneOfValues,
  required,
  string,
} from '../schema/schema.ts'
import { targetFields } from './policy-target.ts'

const stringMatch = object(
  { exact: string(), prefix: string(), regex: string({ maxLength: 1024 }) },
  { oneOf: [atMostOne('exact', 'prefix', 'regex')] },
)

const counted = object({
  type: required(
    oneOfValues(
      'Header',
      'Query',
      'SourceIp',
      'SourcePrincipal',
      'SourceCluster',
      'DestinationCluster',
      'Path',
      'Method',
    ),
  ),
  /** Of the header or query parameter. */
  name: string({ minLength: 1, maxLength: 256 }),
  /** Of addresses: how many bits count, e.g. 24 for a whole IPv4 network. */
  v4Bits: integer({ min: 0, max: 32 }),
  v6Bits: integer({ min: 0, max: 128 }),
  /** Requests without the header or parameter are not counted; true counts them together. */
  countAbsent: boolean(),
})

const limit = object({
  requests: required(integer({ min: 1, max: 1_000_000_000 })),
  per: required(oneOfValues('1s', '1m', '1h', '1d')),
  burst: integer({ min: 1, max: 1_000_000_000 }),
  by: list(counted, { minItems: 1, maxItems: 8 }),
  match: object({
    path: stringMatch,
    methods: list(string({ minLength: 1, maxLength: 32 }), { minItems: 1, maxItems: 16 }),
    headers: map(stringMatch, { maxEntries: 16 }),
  }),
})

export const rateLimit = object({
  ...targetFields,
  limits: required(list(limit, { minItems: 1, maxItems: 64 })),
  mode: defaulted(oneOfValues('Local', 'Global'), 'Local'),
  status: defaulted(integer({ min: 400, max: 599 }), 429),
  headers: defaulted(boolean(), false),
  failureMode: defaulted(oneOfValues('Open', 'Closed'), 'Open'),
})

export type RateLimit = Infer<typeof rateLimit>
export type RequestLimit = Infer<typeof limit>

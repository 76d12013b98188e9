/** Random HTTP filters and what routes say of them otherwise, within what the model allows. */
import type {
  AdaptiveConcurrency,
  Compression,
  CsrfPolicy,
  FilterOverrides,
  HeaderMatch,
  HitsAddend,
  HttpFilterConfig,
  LimitOverride,
  LocalRateLimit,
  RateLimitAction,
  RateLimitActions,
  SessionPersistence,
  TokenBucket,
} from '@weft/model'
import { LIMIT_UNITS } from '@weft/model'
import fc from 'fast-check'
import { rbacFilter } from './arbitrary-rbac.ts'
import { extAuthz, jwtAuthn } from './arbitrary-security.ts'
import { type Arb, percent, positiveMs, stringMatch, word } from './arbitrary-values.ts'

const key = word.map((name) => `k-${name}`)
/** Envoy takes those that have a name. */
const status = fc.constantFrom(400, 403, 429, 500, 503)
const count = fc.integer({ min: 1, max: 100_000 })
const flag = fc.boolean()

const bucket: Arb<TokenBucket> = fc.record({
  maxTokens: count,
  tokensPerFill: count,
  // Envoy's least is 50 ms.
  fillIntervalMs: positiveMs.map((ms) => ms + 50),
})

const action = (headers: Arb<HeaderMatch>): Arb<RateLimitAction> =>
  fc.oneof(
    ...(
      [
        'remoteAddress',
        'sourceCluster',
        'destinationCluster',
        'path',
        'method',
        'sourcePrincipal',
      ] as const
    ).map((kind) => fc.constant({ kind })),
    fc.record({ kind: fc.constant('genericKey' as const), key, value: key }),
    fc.record({ kind: fc.constant('header' as const), header: key, key, skipIfAbsent: flag }),
    fc.record({ kind: fc.constant('query' as const), name: key, key, skipIfAbsent: flag }),
    fc.record(
      {
        kind: fc.constant('metadata' as const),
        key,
        filter: key,
        path: fc.array(key, { minLength: 1, maxLength: 2 }),
        defaultValue: key,
        skipIfAbsent: flag,
      },
      { requiredKeys: ['kind', 'key', 'filter', 'path', 'skipIfAbsent'] },
    ),
    fc.record({
      kind: fc.constant('maskedRemoteAddress' as const),
      v4Bits: fc.integer({ min: 0, max: 32 }),
      v6Bits: fc.integer({ min: 0, max: 128 }),
    }),
    fc.record({
      kind: fc.constant('remoteAddressMatch' as const),
      key,
      value: key,
      ranges: fc.subarray(['10.0.0.0/8', '192.168.1.7/32', 'fd00::/8'], { minLength: 1 }),
      invert: flag,
    }),
    fc.record({
      kind: fc.constant('headerValueMatch' as const),
      key,
      value: key,
      expectMatch: flag,
      headers: fc.array(headers, { minLength: 1, maxLength: 2 }),
    }),
    fc.record({
      kind: fc.constant('queryValueMatch' as const),
      key,
      value: key,
      expectMatch: flag,
      query: fc.array(
        fc.record({
          name: key,
          value: fc.oneof(stringMatch, fc.constant({ kind: 'present' as const })),
        }),
        { minLength: 1, maxLength: 2 },
      ),
    }),
  )

const hits: Arb<HitsAddend> = fc.oneof(
  fc.record({ kind: fc.constant('fixed' as const), hits: fc.nat(1_000) }),
  fc.record({ kind: fc.constant('header' as const), header: fc.constantFrom('x-cost', 'a') }),
  fc.record({
    kind: fc.constant('metadata' as const),
    filter: fc.constantFrom('envoy.filters.http.jwt_authn', 'f'),
    path: fc.array(fc.constantFrom('payload', 'cost'), { minLength: 1, maxLength: 2 }),
  }),
)

const override: Arb<LimitOverride> = fc.oneof(
  fc.record({
    kind: fc.constant('fixed' as const),
    requestsPerUnit: fc.integer({ min: 0, max: 4_294_967_295 }),
    unit: fc.constantFrom(...LIMIT_UNITS),
  }),
  fc.record({
    kind: fc.constant('metadata' as const),
    filter: key,
    path: fc.array(key, { minLength: 1, maxLength: 2 }),
  }),
)

const actions = (headers: Arb<HeaderMatch>): Arb<readonly RateLimitActions[]> =>
  fc.array(
    fc.record(
      {
        actions: fc.array(action(headers), { minLength: 1, maxLength: 3 }),
        stage: fc.integer({ min: 0, max: 10 }),
        disableKey: key,
        hits,
        limit: override,
      },
      { requiredKeys: ['actions', 'stage'] },
    ),
    { minLength: 1, maxLength: 2 },
  )

/** Stages and switches are for what routes say, costs for the global limit. */
const filterActions = (headers: Arb<HeaderMatch>): Arb<readonly RateLimitActions[]> =>
  actions(headers).map((all) => all.map((one) => ({ actions: one.actions, stage: 0 })))

const localRateLimit = (headers: Arb<HeaderMatch>): Arb<LocalRateLimit> =>
  fc.record(
    {
      statPrefix: key,
      bucket,
      enabledPercent: percent,
      enforcedPercent: percent,
      status,
      descriptors: fc.array(
        fc.record({
          entries: fc.array(fc.record({ key, value: word }), { minLength: 1, maxLength: 2 }),
          bucket,
        }),
        { maxLength: 2 },
      ),
      actions: filterActions(headers),
      perConnection: flag,
      alwaysConsumeDefault: fc.constant(true),
      headers: flag,
      responseHeaders: fc.array(fc.record({ name: key, value: word }), { maxLength: 2 }),
    },
    {
      requiredKeys: [
        ...(['statPrefix', 'bucket', 'enabledPercent', 'enforcedPercent', 'status'] as const),
        ...(['descriptors', 'actions', 'perConnection', 'headers', 'responseHeaders'] as const),
      ],
    },
  )

const csrf: Arb<CsrfPolicy> = fc.record({
  enabledPercent: percent,
  shadowPercent: percent,
  additionalOrigins: fc.array(stringMatch, { maxLength: 2 }),
})

const whole = fc.integer({ min: 0, max: 100 })
const adaptiveConcurrency: Arb<AdaptiveConcurrency> = fc.record({
  enabled: flag,
  samplePercentile: whole,
  maxConcurrency: count,
  minConcurrency: count,
  updateIntervalMs: positiveMs,
  minRttIntervalMs: positiveMs,
  minRttJitterPercent: whole,
  minRttRequests: count,
  minRttBufferPercent: whole,
  status,
})

const compression: Arb<Compression> = fc.record(
  {
    encodings: fc.shuffledSubarray(['gzip', 'br', 'zstd'] as const, { minLength: 1 }),
    minBytes: fc.integer({ min: 30, max: 10_000 }),
    contentTypes: fc.array(
      word.map((name) => `text/${name}`),
      { minLength: 1, maxLength: 2 },
    ),
    disableOnEtag: flag,
    removeAcceptEncoding: flag,
    level: fc.integer({ min: 1, max: 9 }),
  },
  {
    requiredKeys: [
      ...(['encodings', 'minBytes', 'contentTypes'] as const),
      ...(['disableOnEtag', 'removeAcceptEncoding'] as const),
    ],
  },
)

const session: Arb<SessionPersistence> = fc.oneof(
  fc.record({ kind: fc.constant('header' as const), name: key }),
  fc.record({
    kind: fc.constant('cookie' as const),
    name: key,
    path: fc.constantFrom('', '/', '/a'),
    ttlMs: fc.oneof(fc.constant(0), positiveMs),
  }),
)

const service = (headers: Arb<HeaderMatch>) =>
  fc.record(
    {
      domain: key,
      cluster: key,
      authority: key,
      timeoutMs: positiveMs,
      failureModeDeny: flag,
      stage: fc.integer({ min: 0, max: 10 }),
      headers: flag,
      status,
      actions: filterActions(headers),
    },
    {
      requiredKeys: [
        ...(['domain', 'cluster', 'timeoutMs', 'failureModeDeny'] as const),
        ...(['stage', 'headers', 'status'] as const),
      ],
    },
  )

/** One of each at most, in any order. */
export const httpFilters = (headers: Arb<HeaderMatch>): Arb<readonly HttpFilterConfig[]> => {
  const one = fc.oneof(
    fc.constantFrom({ kind: 'cors' as const }, { kind: 'fault' as const }),
    fc.constant({ kind: 'grpcWeb' as const }),
    fc.record({ kind: fc.constant('csrf' as const), policy: csrf }, { requiredKeys: ['kind'] }),
    fc.record(
      { kind: fc.constant('localRateLimit' as const), limit: localRateLimit(headers) },
      { requiredKeys: ['kind'] },
    ),
    fc.record({ kind: fc.constant('rateLimit' as const), service: service(headers) }),
    fc.record(
      { kind: fc.constant('adaptiveConcurrency' as const), settings: adaptiveConcurrency },
      { requiredKeys: ['kind'] },
    ),
    fc.record({ kind: fc.constant('compressor' as const), settings: compression }),
    fc.record(
      { kind: fc.constant('buffer' as const), maxRequestBytes: count },
      { requiredKeys: ['kind'] },
    ),
    fc.record(
      { kind: fc.constant('statefulSession' as const), session },
      { requiredKeys: ['kind'] },
    ),
    jwtAuthn,
    extAuthz,
    rbacFilter(headers),
  )
  return fc.uniqueArray(one, { maxLength: 4, selector: ({ kind }) => kind })
}

/** Never empty: what says nothing is left out. */
export const filterOverrides = (headers: Arb<HeaderMatch>): Arb<FilterOverrides> =>
  fc
    .record(
      {
        localRateLimit: localRateLimit(headers),
        rateLimits: actions(headers),
        csrf,
        adaptiveConcurrency,
        compressor: fc.oneof(
          fc.constant({ disabled: true }),
          fc.record(
            { removeAcceptEncoding: flag, minBytes: count, level: fc.integer({ min: 1, max: 9 }) },
            { requiredKeys: [] },
          ),
        ),
        maxRequestBytes: fc.oneof(fc.constant(0), count),
        session,
        jwtRequirement: key,
        authorizationContext: fc.dictionary(key, word, {
          minKeys: 1,
          maxKeys: 2,
          noNullPrototype: true,
        }),
        disabled: fc.subarray(['compressor', 'cors', 'csrf', 'rateLimit'] as const, {
          minLength: 1,
        }),
      },
      { requiredKeys: [] },
    )
    .filter((overrides) => Object.keys(overrides).length > 0)

/** Random rules of authorization, within what the model allows and Envoy can be told. */
import type {
  HeaderMatch,
  MetadataValue,
  NetworkRbac,
  Permission,
  Principal,
  RbacFilter,
  RbacPolicy,
  RbacRules,
} from '@weft/model'
import fc from 'fast-check'
import { type Arb, origins, record, stringMatch, word } from './arbitrary-values.ts'

const key = word.map((name) => `k-${name}`)
const range = fc.oneof(
  fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([ip, bits]) => `${ip}/${bits}`),
  fc.integer({ min: 0, max: 128 }).map((bits) => `2001:db8::/${bits}`),
)
const presentOr = fc.oneof(stringMatch, fc.constant({ kind: 'present' as const }))
const plainValue: Arb<MetadataValue> = fc.oneof(
  fc.constant({ kind: 'present' as const }),
  fc.record({ kind: fc.constantFrom('text' as const, 'listed' as const), match: stringMatch }),
)
const template = fc
  .array(fc.constantFrom('a', 'b.txt', '{*}'), { maxLength: 3 })
  .chain((parts) =>
    fc.constantFrom([...parts], [...parts, '{**}'], [...parts, '{**}', 'end']).map((all) => all),
  )
  .map((parts) => `/${parts.join('/')}`)

/** Envoy takes no headers where there are only connections. */
const ofRequest = (headers: Arb<HeaderMatch> | undefined) =>
  [
    fc.constant({ kind: 'any' as const }),
    headers === undefined
      ? fc.constant({ kind: 'any' as const })
      : fc.record({ kind: fc.constant('header' as const), match: headers }),
    fc.record({ kind: fc.constant('path' as const), value: stringMatch }),
    record<{
      kind: 'claim'
      issuer?: string
      path: readonly string[]
      value: typeof presentOr extends Arb<infer V> ? V : never
    }>(
      {
        kind: fc.constant('claim' as const),
        issuer: word,
        path: fc.array(key, { minLength: 1, maxLength: 2 }),
        value: presentOr,
      },
      ['issuer'],
    ),
    fc.record({
      kind: fc.constant('metadata' as const),
      filter: key,
      path: fc.array(key, { minLength: 1, maxLength: 2 }),
      value: fc.oneof(
        plainValue,
        fc.record({
          kind: fc.constant('oneOf' as const),
          of: fc.array(plainValue, { minLength: 2, maxLength: 3 }),
        }),
      ),
    }),
  ] as const

function nested<T>(leaf: Arb<T>, depth: number): Arb<T> {
  if (depth === 0) return leaf
  const part = nested(leaf, depth - 1)
  const groups = fc.oneof(
    fc.record({
      kind: fc.constantFrom('allOf' as const, 'oneOf' as const),
      of: fc.array(part, { minLength: 1, maxLength: 2 }),
    }),
    fc.record({ kind: fc.constant('not' as const), of: part }),
  )
  return fc.oneof(leaf, groups as unknown as Arb<T>)
}

const permission = (headers: Arb<HeaderMatch> | undefined): Arb<Permission> =>
  nested<Permission>(
    fc.oneof(
      ...ofRequest(headers),
      fc.record({ kind: fc.constant('pathTemplate' as const), template }),
      fc.record({ kind: fc.constant('destinationIp' as const), range }),
      fc
        .tuple(fc.integer({ min: 0, max: 65_535 }), fc.integer({ min: 0, max: 65_535 }))
        .map(([a, b]) => ({
          kind: 'destinationPort' as const,
          from: Math.min(a, b),
          to: Math.max(a, b),
        })),
      fc.record({ kind: fc.constant('serverName' as const), value: stringMatch }),
    ),
    2,
  )

const principal = (headers: Arb<HeaderMatch> | undefined): Arb<Principal> =>
  nested<Principal>(
    fc.oneof(
      ...ofRequest(headers),
      record<{ kind: 'authenticated'; name?: typeof stringMatch extends Arb<infer V> ? V : never }>(
        { kind: fc.constant('authenticated' as const), name: stringMatch },
        ['name'],
      ),
      fc.record({
        kind: fc.constantFrom('sourceIp' as const, 'remoteIp' as const),
        range,
      }),
    ),
    2,
  )

/** Names say who made a policy, so that the same name has the same origins. */
const rules = (headers: Arb<HeaderMatch> | undefined, names: string): Arb<RbacRules> => {
  const policy: Arb<RbacPolicy> = fc.record({
    name: word.map((name) => `${names}[${name}]`),
    permissions: fc
      .array(permission(headers), { minLength: 1, maxLength: 2 })
      .map(([first, ...rest]) => [first as Permission, ...rest] as const),
    principals: fc
      .array(principal(headers), { minLength: 1, maxLength: 2 })
      .map(([first, ...rest]) => [first as Principal, ...rest] as const),
    origins,
  })
  return fc.record({
    action: fc.constantFrom('allow' as const, 'deny' as const, 'log' as const),
    policies: fc
      .uniqueArray(policy, { maxLength: 2, selector: ({ name }) => name })
      .map((all) => all.toSorted((a, b) => (a.name < b.name ? -1 : 1))),
  })
}

export const rbacFilter = (
  headers: Arb<HeaderMatch>,
): Arb<{ readonly kind: 'rbac' } & RbacFilter> =>
  record<{ readonly kind: 'rbac' } & RbacFilter>(
    {
      kind: fc.constant('rbac' as const),
      rules: rules(headers, 'http'),
      shadowRules: rules(headers, 'http-shadow'),
      shadowStatPrefix: key,
    },
    ['rules', 'shadowRules', 'shadowStatPrefix'],
  )

export const networkRbac: Arb<NetworkRbac> = record<NetworkRbac>(
  {
    statPrefix: key,
    rules: rules(undefined, 'network'),
    shadowRules: rules(undefined, 'network-shadow'),
    shadowStatPrefix: key,
  },
  ['rules', 'shadowRules', 'shadowStatPrefix'],
)

/** Random small values that all resources are made of, for property tests. */
import type { HeaderMatch, StringMatch, TlvChoice } from '@weft/model'
import fc from 'fast-check'

export type Arb<T> = fc.Arbitrary<T>

export const word = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/)
export const text = fc.oneof(
  word,
  fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme-ascii' }),
)
export const regex = fc.constantFrom('.*', '[a-z]+', '/v[0-9]+/.*', '(a|b)c?', '\\d{1,3}')
export const ms = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3_600_000 }))
export const positiveMs = fc.integer({ min: 1, max: 3_600_000 })
export const percent = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.integer({ min: 0, max: 1_000_000 }).map((n) => n / 10_000),
)
export const tlvType = fc.integer({ min: 0, max: 255 })
export const tlvChoice: Arb<TlvChoice> = fc.oneof(
  fc.constant('all' as const),
  fc.array(tlvType, { maxLength: 3 }),
)
export const port = fc.integer({ min: 1, max: 65_535 })
const ip = fc.oneof(fc.ipV4(), fc.constantFrom('::1', 'fd00::1', '2001:db8::7'))
export const address = fc.oneof(
  { weight: 9, arbitrary: fc.record({ host: ip, port }) },
  fc.record({ host: fc.constantFrom('/run/app.sock', '@app'), port: fc.constant(0) }),
)

/** Leaves optional fields out instead of setting them to `undefined`, as the model's types demand. */
export function record<T, K extends keyof T = keyof T>(
  fields: { [P in keyof T]-?: Arb<Exclude<T[P], undefined>> },
  optional: readonly K[] = [],
): Arb<T> {
  const requiredKeys = (Object.keys(fields) as (keyof T)[]).filter(
    (key) => !(optional as readonly (keyof T)[]).includes(key),
  )
  return fc.record(fields, { requiredKeys, noNullPrototype: true }) as unknown as Arb<T>
}

export const origins = fc.array(
  record(
    {
      kind: fc.constantFrom('VirtualService', 'Service'),
      namespace: word,
      name: word,
      path: word,
      file: text,
      line: fc.integer({ min: 1, max: 9_999 }),
    },
    ['path', 'file', 'line'],
  ),
  { maxLength: 2 },
)

export const stringMatch: Arb<StringMatch> = fc.oneof(
  ...(['exact', 'prefix', 'suffix', 'contains'] as const).map((kind) =>
    fc.record({ kind: fc.constant(kind), value: text, ignoreCase: fc.boolean() }),
  ),
  fc.record({ kind: fc.constant('regex' as const), value: regex }),
)

export const presentOr = fc.oneof(stringMatch, fc.constant({ kind: 'present' as const }))

export const headerMatch: Arb<HeaderMatch> = fc.record({
  name: fc.oneof(word, fc.constantFrom(':method', ':authority', ':scheme')),
  value: presentOr,
  invert: fc.boolean(),
})

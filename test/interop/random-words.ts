/** The vocabulary of random meshes: few names, so that objects meet. */
import fc from 'fast-check'

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json }

export type Fields = Readonly<Record<string, fc.Arbitrary<Json | undefined>>>

export const pick = <T extends Json>(...values: readonly T[]) => fc.constantFrom(...values)
/** Each field is there or not. */
export const some = (fields: Fields): fc.Arbitrary<Json> =>
  fc.record(fields, { requiredKeys: [] }).map(plain)
export const all = (fields: Fields): fc.Arbitrary<Json> => fc.record(fields).map(plain)
export const list = (item: fc.Arbitrary<Json>, minLength = 0, maxLength = 2): fc.Arbitrary<Json> =>
  fc.array(item, { minLength, maxLength })
export const maybe = (item: fc.Arbitrary<Json>) => fc.option(item, { nil: undefined, freq: 2 })

/** Without what is undefined, as it would come out of a file. */
export function plain(value: Readonly<Record<string, Json | undefined>>): Json {
  return JSON.parse(JSON.stringify(value)) as Json
}

const NAMES = ['a', 'b', 'c'] as const
const NAMESPACES = ['one', 'two', 'istio-system'] as const
export const name = pick(...NAMES)
export const namespace = pick(...NAMESPACES)
export const outside = pick('api.example.com', 'db.example.com', '*.example.com', '*.example.org')
export const host = pick(
  'a',
  'b',
  'a.one.svc.cluster.local',
  'b.two.svc.cluster.local',
  'api.example.com',
)
export const anyHost = fc.oneof(host, outside, pick('*', '*.svc.cluster.local'))
export const portNumber = pick(80, 443, 3306, 8080, 9090)
export const duration = pick('1s', '250ms', '5m')
export const exportTo = pick<Json>(['*'], ['.'], ['one'], ['two', 'one'])
export const labels = pick<Json>({ version: 'v1' }, { version: 'v2' }, { app: 'a' })
export const address = pick('10.0.0.1', '10.0.0.2', '10.1.0.0/24', 'fd00::1')

const metadata = all({ name, namespace })

export function object(
  apiVersion: string,
  kind: string,
  spec: fc.Arbitrary<Json>,
): fc.Arbitrary<Json> {
  return all({ apiVersion: pick(apiVersion), kind: pick(kind), metadata, spec })
}

export const istio = (kind: string, spec: fc.Arbitrary<Json>) =>
  object('networking.istio.io/v1', kind, spec)
export const gatewayApi = (kind: string, spec: fc.Arbitrary<Json>) =>
  object('gateway.networking.k8s.io/v1', kind, spec)

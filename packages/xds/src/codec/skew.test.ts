/**
 * U2: a control plane that is newer than this proxy says more than the proxy knows. One field that
 * nobody knows yet is put into every message of real resources, wherever it lies, one at a time:
 * what decides who may do what, or what goes where, is refused then (R54, CVE-2022-21679), and
 * everything else is read as if the field were not there.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DescMessage, fromBinary, type Message, toBinary } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import fc from 'fast-check'
import { RESOURCE_TYPES, TYPE_URLS } from '../type-urls.ts'
import { arbitraryResource } from './arbitraries.ts'
import { codec, codecTypes } from './codec.ts'

const SEED = Number(process.env.WEFT_SEED ?? 2)
const SAMPLES = 12
/** Of each message; one resource has hundreds of some. */
const PLACES = 2
const NEWER = { no: 19_999, wireType: 2, data: new Uint8Array([1, 120]) } as const

type Fields = Record<string, unknown>
/** Puts the field into a message and returns what the resource is then; undone by `undo`. */
interface Place {
  readonly typeName: string
  /** It, or what it is a part of, decides. */
  readonly isStrict: boolean
  mutate(): void
  undo(): void
}

/** Every message inside of `message`, those in Anys included; `save` writes it back into its Any. */
function* placesIn(message: Message, save: () => void, within = false): Generator<Place> {
  const typeName = message.$typeName
  const isStrict = within || STRICT.test(typeName)
  if (typeName === 'google.protobuf.Any') {
    yield* placesInAny(message as Any, save)
    return
  }
  if (!typeName.startsWith('google.protobuf.')) {
    yield {
      ...{ typeName, isStrict },
      mutate() {
        message.$unknown = [NEWER]
        save()
      },
      undo() {
        delete message.$unknown
        save()
      },
    }
  }
  for (const value of Object.values(message as unknown as Fields))
    yield* placesOf(value, save, isStrict)
}

function* placesOf(value: unknown, save: () => void, within: boolean): Generator<Place> {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return
  if ('$typeName' in value) yield* placesIn(value as Message, save, within)
  // Lists, maps, and the case of a oneof.
  else for (const one of Object.values(value)) yield* placesOf(one, save, within)
}

function* placesInAny(any: Any, save: () => void): Generator<Place> {
  const schema = codecTypes().getMessage(any.typeUrl.replace(/^.*\//, ''))
  if (schema === undefined) return
  const inner = fromBinary(schema, any.value)
  yield* placesIn(inner, () => {
    any.value = toBinary(schema, inner)
    save()
  })
}

/** What must be known to its last field. */
const STRICT =
  /(\.rbac\.v3\.|\.jwt_authn\.v3\.|\.ext_authz\.v3\.|\.csrf\.v3\.|\.transport_sockets\.tls\.v3\.|^envoy\.type\.matcher\.v3\.(?!RegexMatchAndSubstitute)|\.route\.v3\.(RouteMatch|HeaderMatcher|QueryParameterMatcher|FilterConfig)|\.listener\.v3\.FilterChainMatch)/

const seen = new Map<
  string,
  { isStrict: boolean; refused: number; changed: number; same: number }
>()

for (const type of RESOURCE_TYPES) {
  const schema = codecTypes().getMessage(TYPE_URLS[type].replace(/^.*\//, '')) as DescMessage
  for (const resource of fc.sample(arbitraryResource[type] as fc.Arbitrary<unknown>, {
    seed: SEED,
    numRuns: SAMPLES,
  })) {
    const message = fromBinary(schema, codec.encode(type, resource as never))
    const before = codec.decode(type, toBinary(schema, message))
    for (const { typeName, isStrict, mutate, undo } of placesIn(message, () => undefined)) {
      const key = `${typeName}${isStrict ? ' where it decides' : ''}`
      const known = seen.get(key)
      if (known !== undefined && known.refused + known.changed + known.same >= PLACES) continue
      mutate()
      const after = codec.decode(type, toBinary(schema, message))
      undo()
      const counts = seen.get(key) ?? { isStrict, refused: 0, changed: 0, same: 0 }
      seen.set(key, counts)
      if (!after.ok) counts.refused++
      else if (JSON.stringify(after) === JSON.stringify(before)) counts.same++
      else counts.changed++
    }
  }
}
for (const [name, { isStrict, refused, same, changed }] of seen) {
  test(`U2 ${name}: what nobody knows yet is ${isStrict ? 'refused (R54)' : 'left out'}`, () => {
    assert.equal(changed, 0)
    assert.equal(isStrict ? same : refused, 0)
  })
}

test('U2 the sample has what matters', () => {
  for (const name of ['rbac.v3.Principal', 'route.v3.RouteMatch', 'jwt_authn.v3.JwtProvider']) {
    assert.ok(
      [...seen.keys()].some((one) => one.includes(name)),
      name,
    )
  }
})

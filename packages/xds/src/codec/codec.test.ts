import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { RESOURCE_TYPES } from '../type-urls.ts'
import { arbitraryResource } from './arbitraries.ts'
import { codec, encodeForHash } from './codec.ts'

const SEED = Number(process.env.WEFT_SEED ?? 1)
const RUNS = Number(process.env.WEFT_RUNS ?? 200)

for (const type of RESOURCE_TYPES) {
  describe(`${type} (seed ${SEED})`, () => {
    test('comes back from the wire as it went', () => {
      fc.assert(
        fc.property(arbitraryResource[type], (resource) => {
          const decoded = codec.decode(type, codec.encode(type, resource))
          assert.deepEqual(decoded, { ok: true, resource })
        }),
        { seed: SEED, numRuns: RUNS },
      )
    })

    test('has the same bytes every time', () => {
      fc.assert(
        fc.property(arbitraryResource[type], (resource) => {
          const again = structuredClone(resource)
          assert.deepEqual(codec.encode(type, again), codec.encode(type, resource))
        }),
        { seed: SEED, numRuns: RUNS / 4 },
      )
    })

    test('can be printed as JSON', () => {
      fc.assert(
        fc.property(arbitraryResource[type], (resource) => {
          assert.equal(typeof codec.renderJson(type, resource), 'object')
        }),
        { seed: SEED, numRuns: RUNS / 4 },
      )
    })

    test('noise is refused or read, never thrown', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
          assert.equal(typeof codec.decode(type, bytes).ok, 'boolean')
        }),
        { seed: SEED, numRuns: RUNS },
      )
    })
  })
}

test('a flipped bit in a real resource never throws', () => {
  fc.assert(
    fc.property(
      arbitraryResource.listener,
      fc.nat(),
      fc.integer({ min: 0, max: 7 }),
      (resource, at, bit) => {
        const bytes = codec.encode('listener', resource)
        const index = at % bytes.length
        bytes[index] = (bytes[index] ?? 0) ^ (1 << bit)
        assert.equal(typeof codec.decode('listener', bytes).ok, 'boolean')
      },
    ),
    { seed: SEED, numRuns: RUNS },
  )
})

test('provenance is no part of the version', () => {
  const table = { name: 'r', virtualHosts: [], origins: [] }
  const origin = { kind: 'Service', namespace: 'a', name: 'b', line: 3 }
  const moved = { ...table, origins: [origin] }
  assert.deepEqual(encodeForHash('route', table), encodeForHash('route', moved))
  assert.notDeepEqual(codec.encode('route', table), codec.encode('route', moved))
})

test('private keys are not printed', () => {
  const secret = { kind: 'certificate', name: 'x', chainPem: 'CHAIN', keyPem: 'KEY' } as const
  const json = JSON.stringify(codec.renderJson('secret', secret))
  assert.ok(json.includes('CHAIN') && json.includes('[redacted]') && !json.includes('KEY'))
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, toBinary } from '@bufbuild/protobuf'
import fc from 'fast-check'
import { DeltaDiscoveryRequestSchema } from '../gen/envoy/service/discovery/v3/discovery_pb.js'
import { readDelta, readSotw } from './requests.ts'
import { CDS } from './rules.ts'

test('the shortcut for ACKs and the full decoder read the same', () => {
  const nonce = fc.stringMatching(/^[0-9]{0,20}$/)
  fc.assert(
    fc.property(fc.constantFrom(CDS, 'short', ''), nonce, (typeUrl, responseNonce) => {
      const message = create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce })
      const bytes = Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message))
      // Field 1 as an empty node defeats the shortcut.
      const { request } = readDelta(Buffer.concat([bytes, Buffer.from([0x0a, 0])]))
      assert.deepEqual(readDelta(bytes).request, request)
    }),
    { seed: 1 },
  )
})

test('noise is refused with an error or read, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (noise) => {
      const bytes = Buffer.from(noise)
      for (const read of [readDelta, readSotw]) {
        try {
          assert.equal(typeof read(bytes).request.typeUrl, 'string')
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof assert.AssertionError))
        }
      }
    }),
    { seed: 1, numRuns: 500 },
  )
})

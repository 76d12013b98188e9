import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromBinary } from '@bufbuild/protobuf'
import { RateLimitRequestSchema } from '../gen/envoy/service/ratelimit/v3/rls_pb.js'
import { RateLimitUnit } from '../gen/envoy/type/v3/ratelimit_unit_pb.js'
import { encodeRateLimitRequest } from './rate-limit-messages.ts'

test('a descriptor says what it costs, and which limit holds for it', () => {
  const entries = [{ key: 'user', value: 'ann' }]
  const limit = { requestsPerUnit: 42, unit: 'HOUR' } as const
  const bytes = encodeRateLimitRequest('shop', [{ entries }, { entries, hits: 3, limit }], 2)
  const { domain, hitsAddend, descriptors } = fromBinary(RateLimitRequestSchema, bytes)
  assert.deepEqual([domain, hitsAddend], ['shop', 2])
  const [plain, changed] = descriptors
  assert.deepEqual([plain?.limit, plain?.hitsAddend], [undefined, undefined])
  assert.equal(changed?.hitsAddend, 3n)
  assert.equal(changed?.limit?.requestsPerUnit, 42)
  assert.equal(changed?.limit?.unit, RateLimitUnit.HOUR)
})

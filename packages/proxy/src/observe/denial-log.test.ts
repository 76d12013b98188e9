/** Refusals in the words of the access log. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConnectionRecord } from '../exchange/contract.ts'
import { connectionEntryOf } from './log-entries.ts'

test('a refused connection has Envoy’s details where Envoy has them, and the condition beside', () => {
  const entryOf = (failureDetail: string) =>
    connectionEntryOf({ failureDetail } as ConnectionRecord)
  const denied = entryOf('rbac_access_denied_matched_policy[none]: port is 80, found 81')
  assert.equal(denied.connectionTerminationDetails, 'rbac_access_denied_matched_policy[none]')
  assert.equal(denied.denialReason, 'port is 80, found 81')
  assert.equal(denied.upstreamTransportFailureReason, undefined)
  const failed = entryOf('connect: ECONNREFUSED')
  assert.equal(failed.connectionTerminationDetails, undefined)
  assert.equal(failed.denialReason, undefined)
  assert.equal(failed.upstreamTransportFailureReason, 'connect: ECONNREFUSED')
})

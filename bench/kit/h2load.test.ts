import assert from 'node:assert/strict'
import { test } from 'node:test'
import { completed } from './h2load.ts'

const said = (requests: string, codes: string) =>
  `finished in 2.00s, 5.00 req/s, 1KB/s\nrequests: ${requests}\nstatus codes: ${codes}\n`

const GOOD = '90 total, 100 started, 90 done, 90 succeeded, 0 failed, 0 errored, 0 timeout'

test('calls that were answered well are counted', () => {
  assert.equal(completed(said(GOOD, '91 2xx, 0 3xx, 0 4xx, 0 5xx')), 91)
})

test('a run with errors measures nothing', () => {
  const bad = '90 total, 100 started, 90 done, 89 succeeded, 1 failed, 0 errored, 0 timeout'
  assert.throws(() => completed(said(bad, '89 2xx, 0 3xx, 0 4xx, 0 5xx')), /had errors/)
  assert.throws(() => completed(said(GOOD, '89 2xx, 0 3xx, 0 4xx, 1 5xx')), /had errors/)
  assert.throws(() => completed('Usage: h2load'), /Cannot read/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { HttpConnectionManagerSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { decodeLogFlush } from './log-flush.ts'
import { Problems } from './problems.ts'

function decoded(init: MessageInitShape<typeof HttpConnectionManagerSchema>) {
  const problems = new Problems()
  const { accessLogFlush } = decodeLogFlush(
    create(HttpConnectionManagerSchema, init),
    'hcm',
    problems,
  )
  return { accessLogFlush, problems: problems.texts }
}

test('the fields that came first count where the message is absent', () => {
  const accessLogFlushInterval = { seconds: 5n, nanos: 0 }
  const old = { accessLogFlushInterval, flushAccessLogOnNewRequest: true }
  assert.deepEqual(decoded(old), {
    accessLogFlush: { intervalMs: 5_000, onNewRequest: true },
    problems: [],
  })
  const accessLogOptions = { flushLogOnTunnelSuccessfullyEstablished: true }
  assert.deepEqual(decoded({ ...old, accessLogOptions }).accessLogFlush, { onTunnel: true })
  assert.equal(decoded({ accessLogOptions: {} }).accessLogFlush, undefined)
})

test('an interval below a millisecond is refused as in Envoy', () => {
  const accessLogOptions = { accessLogFlushInterval: { seconds: 0n, nanos: 1 } }
  assert.deepEqual(decoded({ accessLogOptions }).problems, [
    'hcm.access_log_options.access_log_flush_interval: must be at least 1ms',
  ])
})

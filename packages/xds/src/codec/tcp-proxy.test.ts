import assert from 'node:assert/strict'
import { test } from 'node:test'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { TcpProxySchema } from '../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.js'
import { Problems } from './problems.ts'
import { decodeTcpProxy } from './tcp-proxy.ts'

function decoded(init: MessageInitShape<typeof TcpProxySchema>) {
  const problems = new Problems()
  const clusterSpecifier = { case: 'cluster', value: 'c' } as const
  const proto = create(TcpProxySchema, { statPrefix: 's', clusterSpecifier, ...init })
  const { accessLogFlush } = decodeTcpProxy(proto, 'tcp', problems)
  return { accessLogFlush, problems: problems.texts }
}

test('log lines of long connections are asked for in either place, the newer one first', () => {
  const accessLogFlushInterval = { seconds: 5n, nanos: 0 }
  assert.deepEqual(decoded({ accessLogFlushInterval, flushAccessLogOnConnected: true }), {
    accessLogFlush: { intervalMs: 5_000, onConnected: true },
    problems: [],
  })
  const accessLogOptions = { accessLogFlushInterval: { seconds: 7n, nanos: 0 } }
  assert.deepEqual(
    decoded({ accessLogFlushInterval, flushAccessLogOnConnected: true, accessLogOptions }),
    { accessLogFlush: { intervalMs: 7_000 }, problems: [] },
  )
  assert.equal(decoded({ accessLogOptions: {} }).accessLogFlush, undefined)
})

test('an interval below a millisecond is refused', () => {
  const accessLogOptions = { accessLogFlushInterval: { seconds: 0n, nanos: 1 } }
  assert.deepEqual(decoded({ accessLogOptions }).problems, [
    'tcp.access_log_options.access_log_flush_interval: must be at least 1ms',
  ])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { type AccessLogEntry, writeAccessLog } from './access-log.ts'
import { LineBuffer } from './line-buffer.ts'

const entry: AccessLogEntry = {
  startedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  durationMs: 12.6,
  upstreamServiceMs: 11.2,
  method: 'GET',
  path: '/reviews/1?x=y',
  protocol: 'HTTP/1.1',
  responseCode: 200,
  responseFlags: '-',
  responseCodeDetails: 'via_upstream',
  connectionTerminationDetails: undefined,
  bytesReceived: 0,
  bytesSent: 295,
  authority: 'reviews:9080',
  userAgent: 'curl/8',
  requestId: 'f00d',
  forwardedFor: undefined,
  traceId: undefined,
  routeName: 'default',
  upstreamCluster: 'outbound|9080|v1|reviews.default.svc.cluster.local',
  upstreamAddress: { host: '10.0.0.1', port: 9080 },
  upstreamLocalAddress: undefined,
  upstreamTransportFailureReason: undefined,
  upstreamAttempts: 1,
  downstreamLocalAddress: { host: '127.0.0.1', port: 15_001 },
  downstreamRemoteAddress: { host: '::1', port: 50_000 },
  requestedServerName: undefined,
}

const shared = new LineBuffer()

function renderAccessLog(of: AccessLogEntry): string {
  shared.clear()
  writeAccessLog(of, shared)
  return shared.bytes.toString('utf8', 0, shared.length)
}

test('a line has the fields of Istio’s JSON format, typed as Envoy types them', () => {
  assert.deepEqual(JSON.parse(renderAccessLog(entry)), {
    start_time: '2026-01-02T03:04:05.678Z',
    method: 'GET',
    path: '/reviews/1?x=y',
    protocol: 'HTTP/1.1',
    response_code: 200,
    response_flags: '-',
    response_code_details: 'via_upstream',
    connection_termination_details: null,
    upstream_transport_failure_reason: null,
    bytes_received: 0,
    bytes_sent: 295,
    duration: 13,
    upstream_service_time: '11',
    x_forwarded_for: null,
    user_agent: 'curl/8',
    request_id: 'f00d',
    authority: 'reviews:9080',
    upstream_host: '10.0.0.1:9080',
    upstream_cluster: 'outbound|9080|v1|reviews.default.svc.cluster.local',
    upstream_local_address: null,
    downstream_local_address: '127.0.0.1:15001',
    downstream_remote_address: '[::1]:50000',
    requested_server_name: null,
    route_name: 'default',
    upstream_request_attempt_count: 1,
    trace_id: null,
  })
})

test('no text that a peer chose can start a second entry or field (random bytes, seed 11)', () => {
  const random = seededRandom(11)
  for (let i = 0; i < 2_000; i++) {
    const text = Array.from({ length: Math.floor(random() * 12) }, () =>
      String.fromCharCode(Math.floor(random() * 300)),
    ).join('')
    const line = renderAccessLog({ ...entry, path: text, userAgent: text, authority: text })
    assert.equal(line.indexOf('\n'), line.length - 1)
    const parsed: unknown = JSON.parse(line)
    assert.deepEqual(parsed, {
      ...JSON.parse(renderAccessLog(entry)),
      path: text,
      user_agent: text,
      authority: text,
    })
  }
})

test('every byte that JSON escapes is found at every place of a word', () => {
  const special = ['"', '\\', '\n', '\0', '\x1f', '\x7f', 'é', '\xff', '日', '😀', ' ', '!']
  for (const character of special) {
    for (const before of [0, 1, 2, 3, 4, 5, 90, 100, 101, 102, 103]) {
      for (let behind = 0; behind < 5; behind++) {
        const text = `${'a'.repeat(before)}${character}${'~'.repeat(behind)}`
        const line = renderAccessLog({ ...entry, path: text })
        assert.equal((JSON.parse(line) as { path: string }).path, text)
      }
    }
  }
})

test('numbers are whole and of any size', () => {
  for (const bytesSent of [0, 9, 10, 99, 2 ** 31 - 1, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const line = renderAccessLog({ ...entry, bytesSent, durationMs: 0.4 })
    const { bytes_sent, duration } = JSON.parse(line) as { bytes_sent: number; duration: number }
    assert.deepEqual([bytes_sent, duration], [bytesSent, 0])
  }
})

test('a text of megabytes is cut', () => {
  assert.ok(renderAccessLog({ ...entry, path: 'x'.repeat(1_000_000) }).length < 10_000)
})

test('times are right on both sides of a second, forwards and backwards', () => {
  const timeOf = (startedAtMs: number) =>
    (JSON.parse(renderAccessLog({ ...entry, startedAtMs })) as { start_time: string }).start_time
  const times = [0, 7, 42, 999, 1_000, 1_001.9, 86_400_000, 999, Date.UTC(2026, 11, 31, 23, 59, 59)]
  for (const ms of times) assert.equal(timeOf(ms), new Date(ms).toISOString())
})

test('R78: what a terminal or a reader of lines takes for a command is escaped, short or long', () => {
  for (const code of [0x07, 0x1b, 0x7f, 0x80, 0x85, 0x90, 0x9b, 0x9f, 0x20_28, 0x20_29]) {
    const character = String.fromCharCode(code)
    for (const length of [0, 1, 2, 3, 94, 95, 96, 97, 98, 99, 100, 5_000]) {
      const path = `${'x'.repeat(length)}${character}y`
      const line = renderAccessLog({ ...entry, path })
      assert.doesNotMatch(line.slice(0, -1), /[\p{Cc}\u2028\u2029]/u, `${code} after ${length}`)
      assert.equal(JSON.parse(line).path, path)
    }
  }
})

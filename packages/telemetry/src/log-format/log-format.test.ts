import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AccessLogTarget, LOG_OPERATORS } from '@weft/model'
import { seededRandom } from '@weft/testkit'
import { LineBuffer } from '../line-buffer.ts'
import { KNOWN } from './commands.ts'
import { compileLogFormat, logFormatProblem } from './compile.ts'
import type { LogFacts } from './facts.ts'

const FIELDS: Readonly<Record<string, string>> = { 'user-agent': 'curl/8', 'x-b': 'second' }
const facts: LogFacts = {
  kind: 'HTTP',
  scheme: 'https',
  startedAtMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  durationMs: 12.6,
  requestMs: 1.2,
  requestSentMs: 1.6,
  connectionId: 7,
  downstreamWire: { received: 90, sent: 400, headerReceived: 83, headerSent: 61 },
  requestFieldBytes: 70,
  filterState: (key) =>
    key === 'me'
      ? 'spiffe://a/b'
      : key === 'upstream_peer'
        ? { workload: 'reviews-1', namespace: 'default' }
        : undefined,
  firstByteMs: 10.4,
  upstreamServiceMs: 11.2,
  method: 'GET',
  path: '/reviews/1?x=y&z=%20a',
  protocol: 'HTTP/1.1',
  responseCode: 503,
  responseFlags: 'UF,URX',
  responseCodeDetails: 'via_upstream',
  connectionTerminationDetails: undefined,
  bytesReceived: 7,
  bytesSent: 295,
  authority: 'reviews:9080',
  userAgent: 'curl/8',
  requestId: 'f00d',
  forwardedFor: undefined,
  traceId: undefined,
  routeName: 'default',
  upstreamCluster: 'outbound|9080||reviews',
  upstreamAddress: { host: '10.0.0.1', port: 9_080 },
  upstreamLocalAddress: undefined,
  upstreamHostname: 'reviews-1',
  upstreamProtocol: 'HTTP/2',
  upstreamTransportFailureReason: undefined,
  upstreamAttempts: 2,
  downstreamLocalAddress: { host: '127.0.0.1', port: 15_001 },
  downstreamRemoteAddress: { host: '::1', port: 50_000 },
  downstreamDirectAddress: { host: '::1', port: 50_000 },
  downstreamPeerUriSan: 'spiffe://a/b',
  requestedServerName: undefined,
  filterChain: undefined,
  grpcStatus: 4,
  requestHeader: (name) => FIELDS[name],
  responseHeader: (name) => (name === 'content-type' ? 'text/html' : undefined),
  responseTrailer: (name) => (name === 'grpc-message' ? 'late' : undefined),
}

const line = new LineBuffer()

function render(
  format: NonNullable<AccessLogTarget['format']>,
  of: LogFacts = facts,
  omitEmpty = false,
): string {
  line.clear()
  compileLogFormat(format, { omitEmpty, hostname: 'host-1' })(of, line)
  return line.bytes.toString('utf8', 0, line.length)
}

const text = (template: string, of = facts, omitEmpty = false): string =>
  render({ kind: 'text', template }, of, omitEmpty).replace(/\n$/, '')

test('Istio’s default text format comes out as Envoy writes it', () => {
  const template =
    '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ' +
    '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ' +
    '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ' +
    '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
    '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% ' +
    '%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ' +
    '%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n'
  assert.equal(
    render({ kind: 'text', template }),
    '[2026-01-02T03:04:05.678Z] "GET /reviews/1?x=y&z=%20a HTTP/1.1" 503 UF,URX via_upstream - ' +
      '"-" 7 295 13 11 "-" "curl/8" "f00d" "reviews:9080" "10.0.0.1:9080" ' +
      'outbound|9080||reviews - 127.0.0.1:15001 [::1]:50000 - default\n',
  )
})

describe('operators', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['%REQ(X-A?X-B)%', 'second'],
    ['%REQ(USER-AGENT):4%', 'curl'],
    ['%REQ_WITHOUT_QUERY(:PATH)%', '/reviews/1'],
    ['%QUERY_PARAM(z)%', ' a'],
    ['%RESP(Content-Type)% %RESP(:STATUS)%', 'text/html 503'],
    ['%TRAILER(GRPC-MESSAGE)%', 'late'],
    ['%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)%', 'DeadlineExceeded DEADLINE_EXCEEDED'],
    ['%GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%', '4 4'],
    ['%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%', '2026/01/02T03:04:05+0000 1767323045'],
    [
      '%START_TIME(%s.%3f %6f %9f %F %T %b %j)%',
      '1767323045.678 678000 678000000 2026-01-02 03:04:05 Jan 002',
    ],
    ['%EMIT_TIME(%S.%3f)%', '05.690'],
    ['%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%', '1 10 2'],
    ['%RESPONSE_FLAGS_LONG%', 'UpstreamConnectionFailure,UpstreamRetryLimitExceeded'],
    ['%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%|%DOWNSTREAM_REMOTE_PORT%', '::1|50000'],
    ['%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%', '[::1]:50000'],
    ['%UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT%', '10.0.0.1:9080 9080'],
    ['%UPSTREAM_PROTOCOL%|%DOWNSTREAM_TRANSPORT_FAILURE_REASON%', 'HTTP/2|-'],
    ['%UPSTREAM_HOST_NAME% %UPSTREAM_REQUEST_ATTEMPT_COUNT%', 'reviews-1 2'],
    ['%HOSTNAME% %STREAM_ID% %ACCESS_LOG_TYPE%', 'host-1 f00d DownstreamEnd'],
    ['%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_TLS_VERSION%', 'spiffe://a/b -'],
    ['%METADATA(ROUTE:a:b)% %FILTER_STATE(key:PLAIN)% %DYNAMIC_METADATA(a:b)%', '- - -'],
    ['%FILTER_STATE(upstream_peer:FIELD:namespace)%', 'default'],
    ['%FILTER_STATE(upstream_peer:PLAIN)%', 'workload=reviews-1,namespace=default'],
    ['%FILTER_STATE(upstream_peer:FIELD:none)% %FILTER_STATE(me:FIELD:x)%', '- -'],
    ['%FILTER_STATE(me:PLAIN)%', 'spiffe://a/b'],
    ['%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_HEADER_BYTES_SENT%', '90 61'],
    ['%UPSTREAM_WIRE_BYTES_SENT% %REQUEST_HEADERS_BYTES%', '- 70'],
    ['%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)% %COMMON_DURATION(X:DS_TX_END:ms)%', '10400 -'],
    ['%COMMON_DURATION(DS_RX_END:DS_TX_END:ms)% %REQUEST_TX_DURATION%', '11 2'],
    ['%CONNECTION_ID% %UPSTREAM_CONNECTION_ID%', '7 -'],
    ['100%% %ROUTE_NAME%', '100% default'],
  ]
  for (const [template, expected] of cases) {
    test(template, () => assert.equal(text(template), expected))
  }
})

test('what is not known is "-", or nothing where that is asked for', () => {
  assert.equal(text('a%REQ(x-none)%b'), 'a-b')
  assert.equal(text('a%REQ(x-none)%b', facts, true), 'ab')
})

describe('JSON', () => {
  const fields = {
    code: '%RESPONSE_CODE%',
    none: '%REQ(x-none)%',
    mixed: '%PROTOCOL% %REQ(x-none)%',
    nested: { method: '%REQ(:METHOD)%', list: ['%DURATION%', 1, null] },
    fixed: true,
  }

  test('a single operator keeps its type; objects and lists nest', () => {
    assert.deepEqual(JSON.parse(render({ kind: 'json', fields })), {
      code: 503,
      none: null,
      mixed: 'HTTP/1.1 -',
      nested: { method: 'GET', list: [13, 1, null] },
      fixed: true,
    })
  })

  test('what is not known is left out where that is asked for', () => {
    const found = JSON.parse(render({ kind: 'json', fields }, facts, true))
    assert.deepEqual(Object.keys(found), ['code', 'mixed', 'nested', 'fixed'])
    assert.equal(found.mixed, 'HTTP/1.1 ')
  })
})

describe('refuses, with the position,', () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['an operator that is not known', 'a %NOPE% b', /at 2: %NOPE% is not known/],
    ['a lone percent sign', '50% of', /at 2: need %OPERATOR%/],
    ['a header without a name', '%REQ()%', /at 0: %REQ\(\)% needs a header name/],
    ['three alternatives', '%REQ(a?b?c)%', /at 0: .*needs a header name/],
    ['a time that no clock knows', '%START_TIME(%Q)%', /time specifier "%Q"/],
    ['an argument where none belongs', '%DURATION(1)%', /takes no argument/],
    ['a form of gRPC status that is not known', '%GRPC_STATUS(x)%', /needs CAMEL_STRING/],
    ['filter state of no type', '%FILTER_STATE(a:JSON)%', /needs KEY, KEY:PLAIN/],
    ['a duration without points', '%COMMON_DURATION(ms)%', /needs START:END:PRECISION/],
    ['the environment: it may hold secrets', '%ENVIRONMENT(HOME)%', /is not known/],
  ]
  for (const [what, template, message] of cases) {
    test(what, () => {
      assert.match(logFormatProblem({ kind: 'text', template }) ?? '', message)
      const problem = logFormatProblem({ kind: 'json', fields: { a: { b: template } } })
      assert.match(problem ?? '', /^Field "a": Field "b": /)
    })
  }

  test('and nothing else', () => {
    assert.equal(logFormatProblem({ kind: 'text', template: '%PROTOCOL%' }), undefined)
  })
})

test('no text that a peer chose ends a line or a quoted field (random texts, seed 5; R78)', () => {
  const random = seededRandom(5)
  const fields = { v: '%REQ(x)%', both: '<%REQ(x)%>' }
  for (let i = 0; i < 2_000; i++) {
    const value = Array.from({ length: Math.floor(random() * 12) }, () =>
      String.fromCharCode(Math.floor(random() * 300)),
    ).join('')
    const of = { ...facts, requestHeader: () => value }
    const written = render({ kind: 'text', template: '"%REQ(x)%"' }, of)
    assert.match(written, /^"[^"\p{Cc}]*"\n$/u)
    const json = render({ kind: 'json', fields }, of)
    assert.deepEqual(JSON.parse(json), { v: value, both: `<${value}>` })
    assert.equal(json.indexOf('\n'), json.length - 1)
  }
})

test('what a TLS handshake established is there, and nothing of it in plaintext', () => {
  const template =
    '%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_PEER_SUBJECT% ' +
    '%DOWNSTREAM_PEER_ISSUER% %DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_FINGERPRINT_256% ' +
    '%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_CERT_V_END%'
  const peer = {
    subject: 'CN=web,O=shop',
    issuer: 'CN=ca',
    serial: '0A1B',
    fingerprint: 'ab12',
    uriSans: ['spiffe://a/b', 'spiffe://a/c'],
    dnsSans: [],
    ipSans: [],
    emailSans: [],
    validToMs: Date.UTC(2026, 0, 2),
  }
  const downstreamTls = { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', peer }
  assert.equal(
    text(template, { ...facts, downstreamTls }),
    'TLSv1.3 TLS_AES_256_GCM_SHA384 CN=web,O=shop CN=ca 0a1b ab12 ' +
      'spiffe://a/b,spiffe://a/c - 2026-01-02T00:00:00.000Z',
  )
  const plaintext = { ...facts, downstreamPeerUriSan: undefined }
  assert.equal(text(template, plaintext), '- - - - - - - - -')
})

test('what filters left behind is there, in the form that it has', () => {
  const metadata = (filter: string) =>
    filter === 'jwt' ? { sub: 'ann', exp: 12, aud: ['a', 'b'], deep: { key: 'x' } } : undefined
  const text = (template: string) =>
    render({ kind: 'text', template }, { ...facts, metadata }).trimEnd()
  assert.equal(text('%DYNAMIC_METADATA(jwt:sub)% %DYNAMIC_METADATA(jwt:deep:key)%'), 'ann x')
  assert.equal(text('%DYNAMIC_METADATA(jwt:none)% %DYNAMIC_METADATA(other:sub)%'), '- -')
  assert.equal(text('%DYNAMIC_METADATA(jwt:sub:key)%'), '-')
  const fields = { exp: '%DYNAMIC_METADATA(jwt:exp)%', aud: '%DYNAMIC_METADATA(jwt:aud)%' }
  const json = JSON.parse(render({ kind: 'json', fields }, { ...facts, metadata }))
  assert.deepEqual(json, { exp: 12, aud: '["a","b"]' })
})

test('every operator that formats may name has a reader, and no other has', () => {
  const named = [...LOG_OPERATORS.keys()].filter((name) => name !== 'HOSTNAME')
  assert.deepEqual(Object.keys(KNOWN).sort(), named.sort())
})

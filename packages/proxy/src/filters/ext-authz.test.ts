import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createGrpcServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { AuthorizationService, ExternalAuthorization, StringMatch } from '@weft/model'
import { filteredProxy } from './filters-fixture.ts'

const exactly = (...names: readonly string[]): readonly StringMatch[] =>
  names.map((value) => ({ kind: 'exact', value, ignoreCase: true }))

const HTTP: AuthorizationService = {
  kind: 'http',
  cluster: 'authz',
  uri: 'http://authz.example',
  pathPrefix: '/check',
  extraHeaders: [{ name: 'x-from', value: 'weft' }],
  upstreamHeaders: exactly('x-user', 'content-length'),
  appendedUpstreamHeaders: [],
  clientHeaders: exactly('x-reason'),
  clientHeadersOnSuccess: exactly('x-session'),
}
const GRPC: AuthorizationService = { kind: 'grpc', cluster: 'authz' }
const BASE: ExternalAuthorization = {
  service: HTTP,
  timeoutMs: 5_000,
  failureModeAllow: false,
  failureModeHeader: true,
  statusOnError: 503,
  hiddenRequestHeaders: [],
  includePeerCertificate: false,
  metadataNamespaces: [],
  clearRouteCache: false,
}

async function proxyTo(t: TestContext, port: number, changes: Partial<ExternalAuthorization> = {}) {
  const authorization = { ...BASE, ...changes }
  const more = { authz: port }
  const proxy = await filteredProxy([{ kind: 'extAuthz', authorization }], {}, {}, 1, more)
  t.after(() => proxy.close())
  return proxy
}

interface Question {
  readonly line: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

async function httpService(
  t: TestContext,
  answer: { readonly status: number; readonly headers?: object; readonly body?: string },
) {
  const questions: Question[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part
    })
    request.on('end', () => {
      const { method, url, headers } = request
      questions.push({ line: `${method} ${url}`, headers, body })
      response.writeHead(answer.status, { ...answer.headers }).end(answer.body ?? '')
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, questions }
}

test('R57: of what an HTTP service says, only listed fields reach application and client', async (t) => {
  const headers = { 'x-user': 'ann', 'x-other': 'o', 'x-session': 's', 'content-length': '0' }
  const { port, questions } = await httpService(t, { status: 200, headers })
  const proxy = await proxyTo(t, port, { requestHeaders: exactly('x-seen') })
  const sent = { 'x-seen': '1', 'x-unseen': '2', authorization: 'A', 'x-user': 'forged' }
  const answer = await proxy.ask('POST', sent, 'hello')
  assert.equal(answer.status, 200)
  assert.deepEqual([answer.headers['x-session'], answer.headers['x-other']], ['s', undefined])
  assert.equal(proxy.seen()['x-user'], 'ann')
  assert.equal(proxy.seen()['x-other'], undefined)
  assert.equal(proxy.seen()['content-length'], '5', 'what frames a message is nobody else’s')
  const [question] = questions
  assert.equal(question?.line, 'POST /check/a')
  const { 'x-seen': seen, 'x-unseen': unseen, authorization, 'x-from': from } = question.headers
  assert.deepEqual([seen, unseen, authorization, from], ['1', undefined, 'A', 'weft'])
  assert.equal(question.body, '')
})

test('what an HTTP service denies is its answer, under UAEX', async (t) => {
  const headers = { 'x-reason': 'late', 'x-secret': 's', location: '/login' }
  const { port } = await httpService(t, { status: 302, headers, body: 'go' })
  const proxy = await proxyTo(t, port)
  const answer = await proxy.ask('GET')
  assert.deepEqual([answer.status, answer.body], [302, 'go'])
  const { 'x-reason': reason, 'x-secret': secret, location } = answer.headers
  assert.deepEqual([reason, secret, location], ['late', undefined, '/login'])
  assert.deepEqual(proxy.records, [{ flags: 'UAEX', details: 'ext_authz_denied' }])
  assert.equal(proxy.served(), 0)
})

for (const [what, status] of [
  ['fails', 500],
  ['is not there', 0],
] as const) {
  test(`R57: when the service ${what}, nobody passes, unless somebody says so`, async (t) => {
    const port = status === 0 ? 1 : (await httpService(t, { status })).port
    for (const service of status === 0 ? [HTTP, GRPC] : [HTTP]) {
      const closed = await proxyTo(t, port, { service })
      assert.equal((await closed.ask('GET')).status, 503)
      assert.deepEqual(closed.records, [{ flags: 'UAEX', details: 'ext_authz_error' }])
      assert.equal(closed.served(), 0)
      const open = await proxyTo(t, port, { service, failureModeAllow: true })
      assert.equal((await open.ask('GET')).status, 200)
      assert.equal(open.seen()['x-envoy-auth-failure-mode-allowed'], 'true')
    }
  })
}

test('a body goes to the service as far as its limit, and then to the application', async (t) => {
  const { port, questions } = await httpService(t, { status: 200 })
  const limit = { maxBytes: 4, allowPartial: false, asBytes: false }
  const whole = await proxyTo(t, port, { requestBody: limit })
  assert.equal((await whole.ask('POST', {}, 'four')).status, 200)
  assert.equal((await whole.ask('POST', {}, 'fives')).status, 413)
  assert.equal(whole.served(), 1)
  const chunked = { 'transfer-encoding': 'chunked' }
  const partial = await proxyTo(t, port, { requestBody: { ...limit, allowPartial: true } })
  assert.equal((await partial.ask('POST', {}, 'fives')).status, 200)
  assert.equal((await partial.ask('GET', chunked)).status, 200)
  assert.deepEqual(
    questions.map(({ body }) => body),
    ['four', 'five', ''],
  )
})

/** A message of protobuf with one field that has a length. */
function field(number: number, value: string | readonly number[]): readonly number[] {
  const bytes = [...Buffer.from(typeof value === 'string' ? value : Uint8Array.from(value))]
  return [(number << 3) | 2, bytes.length, ...bytes]
}

const header = (name: string, value: string) => field(1, [...field(1, name), ...field(2, value)])

async function grpcService(t: TestContext, answer: readonly number[], status = '0') {
  const questions: string[] = []
  const server = createGrpcServer()
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = []
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('end', () => {
      questions.push(`${headers[':path']} ${Buffer.concat(parts).toString('latin1')}`)
      const fields = { ':status': 200, 'content-type': 'application/grpc' }
      stream.respond(fields, { waitForTrailers: true })
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }))
      stream.end(Buffer.from([0, 0, 0, 0, answer.length, ...answer]))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { port: (server.address() as AddressInfo).port, questions }
}

test('a gRPC service sees the request and changes it', async (t) => {
  // status {}, ok_response {headers {x-user}, headers_to_remove x-gone, response_headers_to_add}
  const ok = [
    ...field(2, header('x-user', 'ann')),
    ...field(5, 'x-gone'),
    ...field(6, header('x-session', 's')),
  ]
  const { port, questions } = await grpcService(t, [...field(1, []), ...field(3, ok)])
  const proxy = await proxyTo(t, port, { service: GRPC })
  const answer = await proxy.ask('GET', { 'x-gone': '1', 'x-user': 'forged', ':path': '/a?b=c' })
  assert.equal(answer.status, 200)
  assert.equal(answer.headers['x-session'], 's')
  assert.deepEqual([proxy.seen()['x-user'], proxy.seen()['x-gone']], ['ann', undefined])
  assert.match(questions[0] ?? '', /^\/envoy\.service\.auth\.v3\.Authorization\/Check /)
  assert.match(questions[0] ?? '', /\/a\?b=c/)
  assert.match(questions[0] ?? '', /127\.0\.0\.1/)
})

test('a gRPC service denies with its own status, or 403; what is no answer is a failure', async (t) => {
  const denied = [...field(1, [8, 16]), 0x4a]
  // status.code 7, denied_response {status {code 401}, headers, body}
  const own = [...field(1, [8, 0x91, 3]), ...field(2, header('x-reason', 'r')), ...field(3, 'no')]
  const full = await grpcService(t, [...field(1, [8, 7]), ...field(2, own)])
  const proxy = await proxyTo(t, full.port, { service: GRPC })
  const answer = await proxy.ask('GET')
  assert.deepEqual([answer.status, answer.body, answer.headers['x-reason']], [401, 'no', 'r'])
  const bare = await proxyTo(t, (await grpcService(t, field(1, [8, 7]))).port, { service: GRPC })
  assert.equal((await bare.ask('GET')).status, 403)
  for (const [bytes, status] of [
    [denied, '0'],
    [field(1, []), '14'],
  ] as const) {
    const broken = await proxyTo(t, (await grpcService(t, bytes, status)).port, { service: GRPC })
    assert.equal((await broken.ask('GET')).status, 503)
  }
})

test('where no filter before it left the value that it waits for, nobody is asked', async (t) => {
  const value = { kind: 'prefix', value: 'istio-ext-authz', ignoreCase: false } as const
  const path = ['istio_ext_authz_shadow_effective_policy_id']
  const condition = { filter: 'envoy.filters.http.rbac', path, value, invert: false }
  const proxy = await proxyTo(t, 1, { condition })
  assert.equal((await proxy.ask('GET')).status, 200)
  const inverted = await proxyTo(t, 1, { condition: { ...condition, invert: true } })
  assert.equal((await inverted.ask('GET')).status, 503)
})

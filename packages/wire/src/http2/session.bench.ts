/**
 * What does a call cost two HTTP/2 sessions, without a socket: a request of eleven
 * fields, its answer and both bodies? Budget: 10 us with small bodies; the copying of
 * 10 KB comes on top.
 *
 *     node --conditions=source packages/wire/src/http2/session.bench.ts
 */
import type { Http2Session } from './session.ts'
import { newEnd } from './session-fixture.ts'
import type { Http2Stream } from './stream.ts'

const ROUNDS = 7
const CALLS = 20_000
/** Calls that are open at a time, as of 64 clients. */
const AT_ONCE = 64

const request = Buffer.from(
  `GET /api/v1/reviews/42?detail=full HTTP/1.1\r\nHost: reviews.default.svc:9080\r\n` +
    `user-agent: wrk/4.1.0\r\naccept: application/json\r\naccept-encoding: gzip\r\n` +
    `x-request-id: 0f6d2c04-7c1d-4b8e-9d29-000000000000\r\nx-forwarded-for: 10.0.0.7\r\n` +
    `x-forwarded-proto: http\r\nx-envoy-attempt-count: 1\r\n` +
    `x-envoy-expected-rq-timeout-ms: 15000\r\nx-weft-source: productpage-v1\r\n\r\n`,
  'latin1',
)
/** As in life, no request id comes twice. */
const idAt = request.indexOf('000000000000')

const answer = Buffer.from(
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Sat, 21 Nov 2026 16:00:00 GMT\r\n' +
    'content-length: 100\r\nx-envoy-upstream-service-time: 3\r\nserver: weft\r\n\r\n',
  'latin1',
)
const answerOfMany = Buffer.from(answer.toString('latin1').replace('100', '10000'), 'latin1')

/** Straight from one side's memory: no socket keeps it. */
function carry(from: Http2Session, to: Http2Session): void {
  to.receive(from.out.bytes, from.out.length)
  from.out.clear()
  from.drained()
}

function run(requestBytes: number, answerBytes: number): number {
  const client = newEnd('client')
  const server = newEnd('server')
  const body = Buffer.alloc(Math.max(requestBytes, answerBytes), 'x')
  const head = answerBytes > 1_000 ? answerOfMany : answer
  const target = client.told.headTarget({ id: 0 } as Http2Stream)
  const { told } = server
  const due: Http2Stream[] = []
  // The handlers of the fixture keep what they are told; these only count.
  let answered = 0
  for (const side of [client.told, server.told]) {
    side.headTarget = () => target
    side.onStreamClosed = () => undefined
    side.onHeaders = () => undefined
  }
  told.onHeaders = (stream, ends) => {
    if (ends) due.push(stream)
  }
  told.onData = (stream, _bytes, from, to, ends) => {
    server.session.consumed(stream, to - from)
    if (ends) due.push(stream)
  }
  client.told.onData = (stream, _bytes, from, to, ends) => {
    client.session.consumed(stream, to - from)
    if (ends) answered++
  }
  const exchange = () => {
    carry(client.session, server.session)
    for (const stream of due.splice(0)) {
      server.session.sendResponseText(stream, head, 0, head.length, false)
      server.session.sendData(stream, body, 0, answerBytes, true)
    }
    carry(server.session, client.session)
  }
  // Settings first: they open the windows.
  exchange()
  const startedMs = performance.now()
  for (let call = 0; call < CALLS; call++) {
    if (!client.session.canOpen) exchange()
    request.write(String(1e11 + call * 7_919), idAt, 'latin1')
    const ends = requestBytes === 0
    const stream = client.session.sendRequestText('https', request, 0, request.length, ends)
    if (stream !== undefined && !ends) client.session.sendData(stream, body, 0, requestBytes, true)
    if (call % AT_ONCE === AT_ONCE - 1) exchange()
  }
  for (let i = 0; i < 1_000 && answered < CALLS; i++) exchange()
  if (answered < CALLS) throw new Error(`Only ${answered} of ${CALLS} calls were answered`)
  return ((performance.now() - startedMs) / CALLS) * 1_000
}

const works = [
  ['100 B down', 0, 100],
  ['10 KB down', 0, 10_000],
  ['10 KB up', 10_000, 100],
] as const

for (const [name, up, down] of works) {
  const best = Math.min(...Array.from({ length: ROUNDS }, () => run(up, down)))
  console.log(`${name.padEnd(12)} ${best.toFixed(2)} us/call (best of ${ROUNDS})`)
}

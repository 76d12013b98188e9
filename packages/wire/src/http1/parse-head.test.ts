import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MessageHead, SPAN } from './message-head.ts'
import { parseRequestHead } from './parse-request.ts'
import { parseResponseHead } from './parse-response.ts'
import { PROBLEM, type ProblemName } from './problem.ts'

const limits = 61_440
type Parse = typeof parseRequestHead

/** What a parser said about a text, in a form that can be compared. */
function outcome(parse: Parse, text: string, cuts: readonly number[] = []) {
  const bytes = Buffer.from(text, 'latin1')
  const head = new MessageHead()
  let result = 0
  // Each piece lies elsewhere in memory, at another base, as in a real read buffer.
  for (const [i, cut] of [...cuts, bytes.length].entries()) {
    const base = (i * 7) % 31
    const moved = Buffer.alloc(base + cut + 5, 0xff)
    bytes.copy(moved, base, 0, cut)
    result = parse(head, moved, base, base + cut, limits)
    if (result !== 0) {
      result = result > 0 ? result - base : result
      break
    }
  }
  if (result <= 0) return { result: result < 0 ? 'refused' : 'more' }
  const fields = Array.from({ length: head.count }, (_, i) => {
    const at = i * SPAN
    const part = (from: number, to: number) =>
      bytes.toString('latin1', head.spans[at + from], head.spans[at + to])
    return [part(0, 1), part(2, 3)]
  })
  const { at: _, spans: __, resumeAt: ___, checkedTo: ____, ...rest } = head
  return { result, fields, rest }
}

function problemOf(parse: Parse, text: string): ProblemName | number {
  const bytes = Buffer.from(text, 'latin1')
  const result = parse(new MessageHead(), bytes, 0, bytes.length, limits)
  const names = Object.keys(PROBLEM) as ProblemName[]
  return names.find((name) => PROBLEM[name] === result) ?? result
}

const requests = [
  'GET / HTTP/1.1\r\nHost: weft.test\r\n\r\n',
  'POST /a/b?c=d HTTP/1.1\r\nhOsT: weft.test:80\r\nX-A:\t v \t\r\nTransfer-Encoding: Chunked\r\nX-B:\r\n\r\n',
  'PUT http://other.test:8080/x?y HTTP/1.1\r\nHost: weft.test\r\nContent-Length: 42\r\nConnection: close, X-A\r\n\r\n',
  'CONNECT weft.test:443 HTTP/1.1\r\nHost: weft.test:443\r\n\r\n',
  'OPTIONS * HTTP/1.0\r\nHost: [::1]:80\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n',
  'GET /\xff HTTP/1.1\r\nHost: weft.test\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: weft.test\r\nX-A: a\rb\r\n\r\n',
  'GET / HTTP/1.1\nHost: weft.test\n\n',
  'GET / HTTP/1.1\r\nHost: weft.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
]
const answers = [
  'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n',
  'HTTP/1.0 404\r\n\r\n',
  'HTTP/1.1 204 \r\nDate: now\r\n\r\n',
  'HTTP/1.1 2000 OK\r\n\r\n',
  'hello\r\n\r\n',
  'HTTP/1.1 200 O\0K\r\n\r\n',
]
const cases: [string, Parse, string[]][] = [
  ['request', parseRequestHead, requests],
  ['response', parseResponseHead, answers],
]

for (const [kind, parse, texts] of cases) {
  test(`a ${kind} head gives the same answer however it is cut in two`, () => {
    for (const text of texts) {
      const whole = outcome(parse, text)
      assert.notEqual(whole.result, 'more')
      for (let cut = 0; cut <= text.length; cut++) {
        assert.deepEqual(outcome(parse, text, [cut]), whole, `${JSON.stringify(text)} at ${cut}`)
      }
    }
  })

  test(`a ${kind} head gives the same answer byte by byte`, () => {
    for (const text of texts) {
      const every = Array.from({ length: text.length }, (_, i) => i)
      assert.deepEqual(outcome(parse, text, every), outcome(parse, text))
    }
  })

  test(`noise never makes the ${kind} parser throw, and cuts do not change what it says`, () => {
    const piece = fc.oneof(
      fc.constantFrom('\r', '\n', '\r\n', ' ', '\t', ':', '\0', 'Host: a\r\n', 'HTTP/1.1', 'GET /'),
      fc.constantFrom('Content-Length: 1\r\n', 'Transfer-Encoding: chunked\r\n', '\r\n\r\n', 'é'),
      fc.string({ maxLength: 8 }),
    )
    const noise = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(''))
    const start = fc.constantFrom('', 'GET / HTTP/1.1\r\nHost: a\r\n', 'HTTP/1.1 200 OK\r\n')
    fc.assert(
      fc.property(start, noise, fc.array(fc.nat(200), { maxLength: 5 }), (first, rest, cuts) => {
        // The end makes every text decidable: early refusals differ only in when, not in what.
        const text = `${first}${rest}\r\n\n`
        const sorted = cuts.filter((cut) => cut <= text.length).sort((a, b) => a - b)
        const whole = outcome(parse, text)
        const cut = outcome(parse, text, sorted)
        assert.deepEqual(cut, whole, JSON.stringify({ text, sorted }))
      }),
      { numRuns: 2_000, seed: 1 },
    )
  })
}

test('what two servers could read differently is refused, each by its reason', () => {
  const get = 'GET / HTTP/1.1\r\nHost: a\r\n'
  const table: [string, ProblemName][] = [
    [' GET / HTTP/1.1\r\n', 'badRequestLine'],
    ['GET  / HTTP/1.1\r\n', 'badRequestLine'],
    ['GET /#x HTTP/1.1\r\n', 'badRequestLine'],
    ['GET / HTTP/2.0\r\n', 'badVersion'],
    ['GET / http/1.1\r\n', 'badVersion'],
    ['GET / HTTP/1.1\n', 'badVersion'],
    [`GET /${'a'.repeat(9_000)} HTTP/1.1\r\n`, 'targetTooLong'],
    ['GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n', 'badTarget'],
    ['GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n', 'badTarget'],
    ['GET * HTTP/1.1\r\nHost: a\r\n\r\n', 'badTarget'],
    ['GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 'badTarget'],
    ['GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n', 'badTarget'],
    ['CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n', 'badTarget'],
    ['GET / HTTP/1.1\r\n\r\n', 'badHost'],
    [`${get}Host: a\r\n\r\n`, 'badHost'],
    ['GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', 'badHost'],
    ['GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n', 'badHost'],
    [`${get}X : a\r\n\r\n`, 'badField'],
    [`${get} X: a\r\n\r\n`, 'badField'],
    [`${get}X: a\0\r\n\r\n`, 'badField'],
    [`${get}X: a\r\n\rX`, 'badField'],
    [`${get}Content-Length: 5, 5\r\n\r\n`, 'badContentLength'],
    [`${get}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`, 'badContentLength'],
    [`${get}Content-Length: 9007199254740993\r\n\r\n`, 'badContentLength'],
    [`${get}Transfer-Encoding: gzip, chunked\r\n\r\n`, 'unknownTransferCoding'],
    [`${get}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n`, 'lengthAndCoding'],
    ['GET / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', 'badTransferEncoding'],
    [`${get}Expect: 200-ok\r\n\r\n`, 'unknownExpectation'],
    [`${get}${'X: a\r\n'.repeat(101)}\r\n`, 'tooManyFields'],
    [`${get}X: ${'a'.repeat(62_000)}`, 'headTooLarge'],
  ]
  for (const [text, problem] of table) {
    assert.equal(problemOf(parseRequestHead, text), problem, JSON.stringify(text.slice(0, 60)))
  }
})

test('a name with the hash of a known one is not taken for it', () => {
  // In the hash `Bb` and `CC` style collisions exist: h*31 + c is the same for (c, d) and (c+1, d-31).
  const colliding = `hos${String.fromCharCode('t'.charCodeAt(0))}`.replace('os', 'pT')
  const text = `GET / HTTP/1.1\r\nHost: a\r\n${colliding}: b\r\n\r\n`
  assert.ok(Number(outcome(parseRequestHead, text).result) > 0)
})

test('a head sent byte by byte costs time in proportion to its length', () => {
  const work = (length: number) => {
    const bytes = Buffer.from(`GET / HTTP/1.1\r\nHost: a\r\nX: ${'v'.repeat(length)}\r\n\r\n`)
    const head = new MessageHead()
    const begin = performance.now()
    for (let end = 1; end <= bytes.length; end++) parseRequestHead(head, bytes, 0, end, limits)
    return performance.now() - begin
  }
  work(5_000)
  const short = Math.min(work(10_000), work(10_000), work(10_000))
  const long = Math.min(work(40_000), work(40_000), work(40_000))
  assert.ok(long < short * 10, `4 times the bytes took ${(long / short).toFixed(1)} times as long`)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { parseB3, parseTraceparent, readTraceContext, readTraceId } from './trace-context.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

test('reads a traceparent and its sampled flag', () => {
  assert.deepEqual(parseTraceparent(`00-${TRACE}-${SPAN}-01`), {
    traceId: TRACE,
    parentId: SPAN,
    sampled: true,
  })
  assert.equal(parseTraceparent(`00-${TRACE}-${SPAN}-00`)?.sampled, false)
})

test('reads later versions, which may append fields', () => {
  assert.equal(parseTraceparent(`01-${TRACE}-${SPAN}-01-more`)?.traceId, TRACE)
})

test('refuses what the W3C calls invalid', () => {
  for (const text of [
    '',
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}`,
    ` 00-${TRACE}-${SPAN}-01`,
  ]) {
    assert.equal(parseTraceparent(text), undefined, text)
  }
})

test('reads B3 in one header: 64 and 128 bit, sampled, debug, undecided', () => {
  assert.deepEqual(parseB3(`${TRACE}-${SPAN}-1`), { traceId: TRACE, parentId: SPAN, sampled: true })
  assert.equal(parseB3(`${SPAN}-${SPAN}`)?.traceId, `${'0'.repeat(16)}${SPAN}`)
  assert.equal(parseB3(`${SPAN}-${SPAN}`)?.sampled, undefined)
  assert.equal(parseB3(`${SPAN}-${SPAN}-d-${SPAN}`)?.sampled, true)
  assert.equal(parseB3('0'), undefined)
})

test('W3C wins over B3, and B3’s several headers are read last', () => {
  const headers = new Map([
    ['b3', `${SPAN}-${SPAN}-0`],
    ['x-b3-traceid', TRACE.toUpperCase()],
    ['x-b3-spanid', SPAN],
    ['x-b3-sampled', '1'],
  ])
  const read = () => readTraceContext((name) => headers.get(name))
  assert.equal(read()?.sampled, false)
  headers.delete('b3')
  assert.deepEqual(read(), { traceId: TRACE, parentId: SPAN, sampled: true })
  headers.set('traceparent', `00-${'1'.repeat(32)}-${SPAN}-00`)
  assert.equal(read()?.traceId, '1'.repeat(32))
})

test('a context with one character changed is read as well formed or not at all (random, seed 9)', () => {
  const random = seededRandom(9)
  const alphabet = '0123456789abcdefABg- \n'
  for (const text of [
    `00-${TRACE}-${SPAN}-01`,
    `${TRACE}-${SPAN}-1`,
    `${SPAN}-${SPAN}-d-${SPAN}`,
  ]) {
    for (let i = 0; i < 1_000; i++) {
      const at = Math.floor(random() * (text.length + 1))
      const change = alphabet.charAt(Math.floor(random() * alphabet.length))
      const changed = text.slice(0, at) + change + text.slice(at + (i % 2))
      for (const context of [parseTraceparent(changed), parseB3(changed)]) {
        if (context === undefined) continue
        assert.match(context.traceId, /^(?!0+$)[0-9a-f]{32}$/, changed)
        assert.match(context.parentId, /^(?!0+$)[0-9a-f]{16}$/, changed)
      }
    }
  }
})

test('the id alone is the id of the whole context, whatever stands at any place', () => {
  const plain = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const zeros = '0'.repeat(32)
  const texts = [
    plain,
    `${plain}-more`,
    `00-${zeros}-b7ad6b7169203331-01`,
    '',
    'ff',
    `01${plain.slice(2)}`,
  ]
  for (let at = 0; at < plain.length; at++) {
    for (const put of ['-', 'A', 'g', '0', '/', ':', '`']) {
      texts.push(plain.slice(0, at) + put + plain.slice(at + 1))
    }
  }
  for (const text of texts) {
    const header = (name: string) => (name === 'traceparent' ? text : undefined)
    assert.equal(readTraceId(header), readTraceContext(header)?.traceId, text)
  }
})

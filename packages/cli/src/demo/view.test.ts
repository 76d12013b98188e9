import assert from 'node:assert/strict'
import { test } from 'node:test'
import { plainStyle } from '../terminal/style.ts'
import type { CallRate } from './calls.ts'
import { type DemoView, renderDemo } from './view.ts'

function call(version: string, more: Partial<CallRate> = {}): CallRate {
  return {
    source: 'productpage',
    destination: 'reviews',
    version,
    requestsPerSecond: 9,
    share: 0.9,
    success: 1,
    p50Ms: 2.5,
    p99Ms: 7_012,
    isMirrored: false,
    ...more,
  }
}

const view: DemoView = {
  url: 'http://127.0.0.1:8080',
  meshDir: '/tmp/mesh',
  controlUrl: 'http://127.0.0.1:15014',
  controlFlag: undefined,
  cwd: '/',
  weft: 'npx weft',
  upMs: 2_345,
  calls: [
    call('v1'),
    call('v2', { share: 0.1, success: 0.5 }),
    call('v3', { isMirrored: true, share: 0 }),
  ],
  load: { visits: 10, failed: 0 },
  events: [],
}

test('shows who calls whom, shares, failures and copies', () => {
  const text = renderDemo(view, 50, plainStyle).join('\n')
  assert.match(text, /productpage {2}→ reviews v1 +█{11}░ +90\.0 % +9\.0 +100 % +2\.5 ms +7\.0 s/)
  assert.match(text, / → reviews v2 +█░+ +10\.0 % +9\.0 +50\.0 %/)
  assert.match(text, /⇢ reviews v3 +mirrored/)
})

test('shows the page’s address and a command for each step of the tour', () => {
  const lines = renderDemo(view, 50, plainStyle)
  assert.ok(lines.some((line) => line.includes('http://127.0.0.1:8080/productpage')))
  assert.equal(lines.filter((line) => line.includes('npx weft apply -f ')).length, 5)
})

test('says where the control plane is when it is not at its usual port', () => {
  const other = { ...view, controlFlag: 'http://127.0.0.1:4000' }
  const lines = renderDemo(other, 50, plainStyle)
  const applied = lines.filter((line) => line.includes('npx weft apply'))
  assert.equal(applied.length, 5)
  for (const line of applied) assert.match(line, /--control http:\/\/127\.0\.0\.1:4000/)
})

test('says how a browser is signed in at the control plane', () => {
  const text = renderDemo(view, 50, plainStyle).join('\n')
  assert.match(text, /control {2}http:\/\/127\.0\.0\.1:15014 {3}\(npx weft dashboard prints a link/)
  const other = { ...view, controlFlag: 'http://127.0.0.1:4000' }
  assert.match(
    renderDemo(other, 50, plainStyle).join('\n'),
    /\(npx weft dashboard --control http:\/\/127\.0\.0\.1:4000 prints/,
  )
})

test('is shorter on a low terminal, and keeps every row of the table and every command', () => {
  const low = renderDemo(view, 24, plainStyle)
  assert.ok(low.length <= 24, `${low.length} lines`)
  for (const word of ['reviews v1', 'reviews v2', 'reviews v3', '5-mirror.yaml', 'Ctrl-C']) {
    assert.ok(
      low.some((line) => line.includes(word)),
      word,
    )
  }
})

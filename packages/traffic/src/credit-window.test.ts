import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CreditWindow } from './credit-window.ts'

test('a producer never has more under way than the window, nor more than was asked for', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ ask: fc.integer({ min: 1, max: 400 }) }),
      fc.record({
        items: fc.integer({ min: 1, max: 300 }),
        bytes: fc.integer({ min: 0, max: 100_000 }),
      }),
    ),
  )
  fc.assert(
    fc.property(steps, (script) => {
      const credit = new CreditWindow()
      let asked = 0
      let granted = 0
      let sent = 0
      for (const step of script) {
        if ('ask' in step) {
          credit.ask(step.ask)
          asked += step.ask
        } else {
          for (let i = 0; i < step.items && credit.outstanding > 0; i++) {
            assert.ok(credit.used(step.bytes))
            sent++
          }
        }
        const before = credit.window
        granted += credit.grant()
        assert.ok(granted <= asked)
        assert.equal(granted - sent, credit.outstanding)
        assert.ok(credit.outstanding <= Math.max(256, before))
      }
    }),
  )
})

test('large items make the window small, small ones make it large', () => {
  const credit = new CreditWindow()
  credit.ask(0x7fff_ffff)
  for (let i = 0; i < 100; i++) {
    credit.grant()
    credit.used(1_000_000)
  }
  assert.equal(credit.window, 4)
  for (let i = 0; i < 200; i++) {
    credit.grant()
    credit.used(10)
  }
  assert.equal(credit.window, 256)
})

test('what nobody asked for is told apart, and an endless demand stays endless', () => {
  const credit = new CreditWindow()
  assert.equal(credit.used(1), false)
  credit.ask(0x7fff_ffff)
  credit.ask(0x7fff_ffff)
  for (let i = 0; i < 1000; i++) {
    credit.grant()
    assert.equal(credit.used(1000), true)
  }
  assert.equal(credit.debt, 0x7fff_ffff)
})

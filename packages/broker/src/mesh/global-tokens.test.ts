import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RateLimitService } from '@weft/model'
import { FakeClock } from '@weft/testkit'
import { type GlobalLimitCheck, Leases } from '@weft/traffic'
import { GlobalTokens } from './global-tokens.ts'

const SERVICE: RateLimitService = {
  ...{ domain: 'weft.io/shop/cart', cluster: 'weft-control', timeoutMs: 500, stage: 0 },
  ...{ failureModeDeny: false, headers: true, status: 429 },
}

/** Who counts: it answers when it is told to, and has so many left. */
class Counter {
  left: number | 'silent'
  readonly #waiting: (() => void)[] = []

  constructor(left: number | 'silent') {
    this.left = left
  }

  readonly asker: GlobalLimitCheck['asker'] = {
    ask: (_descriptors, hits, done) => {
      this.#waiting.push(() => {
        if (this.left === 'silent') return done(undefined)
        const overLimit = this.left < hits
        if (!overLimit) this.left -= hits
        const numbers = { requestsPerUnit: 9, unitSeconds: 60, resetSeconds: 60, resetMs: 60_000 }
        done({ overLimit, nearest: { ...numbers, remaining: this.left }, responseHeaders: [] })
      })
      return () => {}
    },
    giveBack() {},
  }

  answer(): void {
    for (const one of this.#waiting.splice(0)) one()
  }

  check(value = 'a', service: Partial<RateLimitService> = {}): GlobalLimitCheck {
    const descriptors = [{ entries: [{ key: 'limit', value }] }]
    return { service: { ...SERVICE, ...service }, isLeased: true, descriptors, asker: this.asker }
  }
}

describe('limits of one call that others count', () => {
  test('are asked for before somebody is chosen, and once for all who may be', async () => {
    const counter = new Counter(1)
    const tokens = new GlobalTokens(new Leases(new FakeClock()))
    const prepared = tokens.prepare([counter.check(), counter.check()])
    counter.answer()
    await prepared
    assert.equal(counter.left, 0)
    assert.deepEqual(tokens.take(counter.check()), {
      headers: [
        ['x-ratelimit-limit', '9, 9;w=60'],
        ['x-ratelimit-remaining', '0'],
        ['x-ratelimit-reset', '60'],
      ],
    })
  })

  test('refuse as the sidecar does', async () => {
    const counter = new Counter(0)
    const tokens = new GlobalTokens(new Leases(new FakeClock()))
    const prepared = tokens.prepare([counter.check()])
    counter.answer()
    await prepared
    const { refusal } = tokens.take(counter.check())
    assert.deepEqual([refusal?.status, refusal?.flag, refusal?.body], [429, 'RL', ''])
    assert.deepEqual(refusal?.headers[0], ['x-envoy-ratelimited', 'true'])
  })

  test('nobody answers: the failure mode decides', async () => {
    for (const [failureModeDeny, status] of [
      [true, 500],
      [false, undefined],
    ] as const) {
      const counter = new Counter('silent')
      const tokens = new GlobalTokens(new Leases(new FakeClock()))
      const check = counter.check('a', { failureModeDeny })
      const prepared = tokens.prepare([check])
      counter.answer()
      await prepared
      assert.equal(tokens.take(check).refusal?.status, status)
    }
  })

  test('what the call did not need pays for the next one', async () => {
    const counter = new Counter(2)
    const leases = new Leases(new FakeClock())
    const first = new GlobalTokens(leases)
    const prepared = first.prepare([counter.check('a'), counter.check('b')])
    counter.answer()
    await prepared
    assert.equal(first.take(counter.check('a')).refusal, undefined)
    first.settle()
    assert.equal(new GlobalTokens(leases).prepare([counter.check('b')]), undefined)
  })

  test('a repeat passes while it is being counted, and is counted', () => {
    const counter = new Counter(1)
    const tokens = new GlobalTokens(new Leases(new FakeClock()))
    assert.deepEqual(tokens.take(counter.check()), { headers: [] })
    counter.answer()
    assert.equal(counter.left, 0)
  })
})

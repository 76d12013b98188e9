import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LocalRateLimit, TokenBucket } from '@weft/model'
import { FakeClock, seededRandom } from '@weft/testkit'
import type { Descriptor } from '@weft/traffic'
import fc from 'fast-check'
import { LimitCounts } from '../../workers/limit-counts.ts'
import type { FromWorker } from '../../workers/messages.ts'
import { WorkerLimits } from '../../workers/worker-limits.ts'
import { SharedLimiter } from './shared-limiter.ts'

const HOUR_MS = 3_600_000
const hourly = (maxTokens: number): TokenBucket => ({
  ...{ maxTokens, tokensPerFill: maxTokens, fillIntervalMs: HOUR_MS },
})

function limitOf(bucket: TokenBucket, more: Partial<LocalRateLimit> = {}): LocalRateLimit {
  return {
    ...{ statPrefix: 'x', bucket, enabledPercent: 100, enforcedPercent: 100, status: 429 },
    ...{ descriptors: [], actions: [], perConnection: false, headers: true, responseHeaders: [] },
    ...more,
  }
}

/** A supervisor and its workers, a millisecond apart. */
class Workers {
  readonly clock = new FakeClock()
  readonly workers: readonly SharedLimiter[]
  questions = 0
  supervisorRuns = true

  constructor(count: number, limit: LocalRateLimit) {
    const counts = new LimitCounts(count)
    this.workers = Array.from({ length: count }, (_, index) => {
      const hear = (message: FromWorker): void => {
        if (!this.supervisorRuns) return
        const nowMs = this.clock.monotonicMs()
        if (message.kind === 'give back tokens') counts.giveBack(message.question, nowMs)
        if (message.kind !== 'take tokens') return
        this.questions++
        const grant = counts.grant(message.question, message.needed, nowMs)
        this.clock.after(1, () => limits.granted(message.id, grant))
      }
      const limits = new WorkerLimits({ index, count }, this.clock, hear)
      return new SharedLimiter('k', limit, limits, this.clock)
    })
  }

  /** Status and `x-ratelimit-remaining`. */
  ask(worker: number, descriptors: readonly Descriptor[] = [], hits = 1): [number, string] {
    const answers: [number, string][] = []
    const note = (verdict: ReturnType<SharedLimiter['take']>): void => {
      if (typeof verdict === 'function') return
      const remaining = verdict.headers.find(({ name }) => name === 'x-ratelimit-remaining')
      answers.push([verdict.allowed ? 200 : 429, remaining?.value ?? ''])
    }
    note(
      this.workers[worker]?.take(
        descriptors.map((entries) => ({ entries, hits })),
        note,
      ) ?? (() => {}),
    )
    for (let ms = 0; answers.length === 0 && ms < 500; ms++) this.clock.advance(1)
    const [answer] = answers
    assert.ok(answer)
    return answer
  }
}

const statuses = (answers: readonly [number, string][]) => answers.map(([status]) => status)

test('two requests an hour are two, whichever worker they come to', () => {
  const proxy = new Workers(2, limitOf(hourly(2)))
  assert.deepEqual(
    [proxy.ask(0), proxy.ask(0), proxy.ask(0), proxy.ask(1)],
    [
      [200, '1'],
      [200, '0'],
      [429, '0'],
      [429, '0'],
    ],
  )
})

test('what costs more than one is paid whole or not at all, whichever worker it comes to', () => {
  const entries = [{ key: 'user', value: 'a' }]
  const descriptors = [{ entries, bucket: hourly(10) }]
  const proxy = new Workers(2, limitOf(hourly(100), { descriptors, alwaysConsumeDefault: true }))
  assert.deepEqual(
    [proxy.ask(0, [entries], 7), proxy.ask(1, [entries], 4), proxy.ask(1, [entries], 3)],
    [
      [200, '3'],
      [429, '3'],
      [200, '0'],
    ],
  )
  assert.deepEqual(proxy.ask(0, [entries]), [429, '0'])
  proxy.supervisorRuns = false
  // Alone each worker has its half.
  assert.deepEqual(statuses([proxy.ask(1, [entries], 6), proxy.ask(1, [entries], 5)]), [429, 200])
})

test('a small bucket is exact over any order of the workers', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 30, maxLength: 60 }),
      (tokens, order) => {
        const proxy = new Workers(4, limitOf(hourly(tokens)))
        const got = statuses(order.map((worker) => proxy.ask(worker)))
        const expected = order.map((_, index) => (index < tokens ? 200 : 429))
        assert.deepEqual(got, expected)
      },
    ),
  )
})

test('under load workers ask seldom, never let pass more than the bucket has, and use all of it', () => {
  const tokens = 10_000
  const proxy = new Workers(4, limitOf(hourly(tokens)))
  const random = seededRandom(7)
  let allowed = 0
  const count = (verdict: ReturnType<SharedLimiter['take']>): void => {
    if (typeof verdict !== 'function' && verdict.allowed) allowed++
  }
  // 10 requests in each millisecond, most at one worker.
  for (let ms = 0; ms < 3_000; ms++) {
    for (let i = 0; i < 10; i++) {
      const worker = random() < 0.7 ? 0 : 1 + Math.floor(random() * 3)
      count(proxy.workers[worker]?.take([], count) ?? (() => {}))
    }
    proxy.clock.advance(1)
    if (ms === 500) assert.ok(proxy.questions < 100, `${proxy.questions} questions for 5,000`)
  }
  // What an hour brings back in three seconds comes to that.
  const most = tokens + (tokens * 3) / 3_600
  assert.ok(allowed >= tokens && allowed <= most, String(allowed))
})

test('buckets of descriptors are shared too, and values that nothing counts are not told apart', () => {
  const user = (value: string): Descriptor => [{ key: 'user', value }]
  const limit = limitOf(hourly(3), {
    descriptors: [{ entries: user('a'), bucket: hourly(1) }],
  })
  const proxy = new Workers(2, limit)
  const ask = (worker: number, value: string) => proxy.ask(worker, [user(value)])[0]
  assert.deepEqual([ask(0, 'a'), ask(1, 'a')], [200, 429])
  assert.deepEqual([ask(0, 'b'), ask(1, 'c'), ask(0, 'd'), ask(1, 'e')], [200, 200, 200, 429])
})

test('a supervisor that does not answer leaves each worker its share', () => {
  const proxy = new Workers(2, limitOf(hourly(4)))
  proxy.supervisorRuns = false
  const got = [0, 0, 0, 1, 1, 1].map((worker) => proxy.ask(worker))
  assert.deepEqual(statuses(got), [200, 200, 429, 200, 200, 429])
})

test('a grant that comes too late goes back', () => {
  const clock = new FakeClock()
  const sent: FromWorker[] = []
  const limits = new WorkerLimits({ index: 0, count: 2 }, clock, (message) => sent.push(message))
  const question = { key: 'k', limit: limitOf(hourly(9)), descriptors: [], tokens: 5 }
  let answers = 0
  limits.ask(question, 1, (grant) => {
    answers++
    assert.equal(grant, undefined)
  })
  clock.advance(100)
  limits.granted(1, { tokens: 3, maxTokens: 9, remaining: 6, resetMs: 0 })
  assert.equal(answers, 1)
  assert.deepEqual(sent.at(-1), { kind: 'give back tokens', question: { ...question, tokens: 3 } })
})

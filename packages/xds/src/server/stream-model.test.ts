import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { ALL_RULES, type StreamRules } from './rules.ts'
import { runModel } from './stream-model.ts'

const SEED = Number(process.env.WEFT_SEED ?? 1)
const RUNS = Number(process.env.WEFT_RUNS ?? 800)
const STEPS = 60

/** How many of the runs show each fault. */
function share(rules: Partial<StreamRules>, withholds?: boolean) {
  const counts = { stuck: 0, broken: 0, cold: 0, emptied: 0, responses: 0, reason: '' }
  for (let run = 0; run < RUNS; run++) {
    const random = seededRandom(SEED * 100_003 + run)
    const findings = runModel({ ...ALL_RULES, ...rules }, random, STEPS, withholds)
    counts.reason ||= findings.stuck ?? ''
    counts.stuck += findings.stuck === undefined ? 0 : 1
    counts.broken += Math.min(1, findings.broken)
    counts.cold += Math.min(1, findings.cold)
    counts.emptied += Math.min(1, findings.emptied)
    counts.responses += findings.responses
  }
  return counts
}

describe(`an Envoy that warms, on a Delta stream (seed ${SEED}, ${RUNS} runs)`, () => {
  test('ends with what was published, and no route ever names an absent cluster', () => {
    const { stuck, broken, emptied, reason } = share({})
    assert.deepEqual(
      { stuck, broken, emptied, reason },
      { stuck: 0, broken: 0, emptied: 0, reason: '' },
    )
  })
})

/** Each rule is there for a fault; without it the fault shows. */
describe('without a rule', () => {
  const without: [string, Partial<StreamRules>, 'stuck' | 'broken' | 'emptied'][] = [
    ['replay (R7) clusters warm for ever', { replay: false }, 'stuck'],
    ['parking (R8) routes lose their clusters', { park: false }, 'broken'],
    ['parking on fresh streams (R8b) routes lose their clusters', { parkFresh: false }, 'broken'],
    [
      'clusters first (R11) routes come too early',
      { clustersFirst: false, routeGate: false },
      'broken',
    ],
    ['answers for endpoints (R12) clusters warm for ever', { answerEndpoints: false }, 'stuck'],
    ['the last endpoints (R12a) clusters in use are emptied', { keepEndpoints: false }, 'emptied'],
    ['and with endpoints that wait for the answer, all waits', { endpointsGate: true }, 'stuck'],
  ]
  for (const [name, rules, fault] of without) {
    test(`${name}`, () => {
      assert.ok(share(rules)[fault] > 0, `no run shows ${fault}`)
    })
  }

  // A client that answers before it is warm defeats the gate; that is why our own swaps whole trees.
  test('the route gate (R13) routes reach clusters that are not warm', () => {
    assert.ok(share({ routeGate: false }, true).cold > 0)
    assert.equal(share({}, true).cold, 0)
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Outcome, renderOutcomes, summarizeRuns } from './outcome.ts'

const facts = { machine: 'm', scenario: 's', unit: 'request', rounds: 1 }

function outcome(work: string, name: string, cpuUs: number): Outcome {
  const one = { cpuUs, userUs: cpuUs, systemUs: 0, perSecond: 1 }
  return { work, name, ...summarizeRuns([one]), anonMb: 1, rssMb: 2 }
}

test('a ratio is to the peer at the same work; who is absent has no column', () => {
  const lines = renderOutcomes(facts, [
    outcome('up', 'weft', 6),
    outcome('up', 'envoy', 12),
    outcome('down', 'weft', 9),
    outcome('down', 'envoy', 3),
  ]).split('\n')
  const ratios = lines
    .filter((line) => line.includes('| weft |'))
    .map((line) => line.split(' | ')[4])
  assert.deepEqual(ratios, ['0.50', '3.00'])
  assert.ok(!lines.join('\n').includes('haproxy'))
})

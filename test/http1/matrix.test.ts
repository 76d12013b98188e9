import assert from 'node:assert/strict'
import { test } from 'node:test'
import { forwardTo, routeOf, tableOf } from '../../packages/proxy/src/exchange/engine-fixture.ts'
import { runGate } from './gate.ts'

test('every byte at every place around Transfer-Encoding is read in one way only', async () => {
  const table = tableOf([routeOf(forwardTo('cases'))])
  // Cases mostly wait for what must not come: sixteen runs at once take a sixteenth of the time.
  const places = ['pre-name', 'pre-colon', 'pre-value', 'post-value']
  const shards = places.flatMap((place) =>
    ['[0-3]', '[4-7]', '[89ab]', '[c-f]'].map((digit) => `${place}-${digit}`),
  )
  const results = await Promise.all(
    shards.map((shard) =>
      // Rejected or forwarded within a few bytes on loopback: a short settle time tells them apart.
      runGate({ table, manager: {}, args: ['--matrix', '--settle', '5', '--filter', shard] }),
    ),
  )
  for (const { code, output } of results) assert.equal(code, 0, output)
  const cases = results.map(({ output }) => Number(/(\d+) passed/.exec(output)?.[1]))
  assert.equal(
    cases.reduce((sum, count) => sum + count),
    1_024,
  )
})

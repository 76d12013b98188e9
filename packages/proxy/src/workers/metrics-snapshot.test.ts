import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deserialize, serialize } from 'node:v8'
import { MetricsRegistry, renderMetrics } from '@weft/telemetry'
import { mergeSnapshots, registryOf, retire, snapshotMetrics } from './metrics-snapshot.ts'

/** A process that counted `calls` with these durations. */
function registryWith(code: string, durations: readonly number[], active: number): MetricsRegistry {
  const registry = new MetricsRegistry()
  const table = registry.table({ labels: ['code'], maxSeries: 10, expiryMs: 0 })
  const calls = registry.counter('calls', 'Calls.', table)
  const took = registry.histogram('took', 'Time.', table, [1, 10])
  const now = registry.gauge('active', 'Now.', table)
  const build = registry.gauge('istio_build', 'What runs.', table)
  const slot = table.slot([code])
  for (const duration of durations) {
    calls.add(slot, 1)
    took.record(slot, duration)
  }
  now.set(slot, active)
  build.set(slot, 1)
  return registry
}

/** As it arrives in another process. */
const sent = (registry: MetricsRegistry) =>
  deserialize(serialize(snapshotMetrics(registry))) as ReturnType<typeof snapshotMetrics>

const lines = (registry: MetricsRegistry) =>
  [...renderMetrics(registry, 'prometheus')].join('').split('\n')

test('a registry and its copy render the same', () => {
  const one = registryWith('200', [0.5, 5, 50], 2)
  assert.deepEqual(lines(registryOf(sent(one))), lines(one))
})

test('counters, gauges and histograms of two processes add up; what says what it is does not', () => {
  const merged = mergeSnapshots([
    sent(registryWith('200', [0.5, 5], 2)),
    sent(registryWith('200', [50], 1)),
    sent(registryWith('503', [2], 0)),
  ])
  const all = lines(registryOf(merged))
  for (const line of [
    'calls{code="200"} 3',
    'calls{code="503"} 1',
    'active{code="200"} 3',
    'istio_build{code="200"} 1',
    'took_bucket{code="200",le="1"} 1',
    'took_bucket{code="200",le="10"} 2',
    'took_bucket{code="200",le="+Inf"} 3',
    'took_sum{code="200"} 55.5',
    'took_count{code="200"} 3',
  ]) {
    assert.ok(all.includes(line), `${line} in\n${all.join('\n')}`)
  }
})

test('a process that is gone leaves its counters, not its gauges', () => {
  const gone = retire([], sent(registryWith('200', [0.5], 7)))
  const after = retire(gone, sent(registryWith('200', [5], 9)))
  const all = lines(registryOf(mergeSnapshots([sent(registryWith('200', [2], 1)), after])))
  assert.ok(all.includes('calls{code="200"} 3'))
  assert.ok(all.includes('active{code="200"} 1'))
})

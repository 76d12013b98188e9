import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { MetricsRegistry } from './metrics.ts'
import { type ExpositionFormat, formatFor, renderMetrics } from './prometheus.ts'

const render = (registry: MetricsRegistry, format: ExpositionFormat = 'prometheus') =>
  [...renderMetrics(registry, format)].join('')

test('counters, gauges and histograms in text format 0.0.4', () => {
  const registry = new MetricsRegistry()
  const table = registry.table({ labels: ['code'], maxSeries: 10, expiryMs: 0 })
  const requests = registry.counter('requests_total', 'All of them.', table)
  const duration = registry.histogram('duration_ms', '', table, [1, 2.5])
  const plain = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  registry.gauge('up', '', plain).set(plain.slot([]), 1)
  const slot = table.slot(['200'])
  requests.add(slot, 3)
  for (const value of [0.5, 1, 1.5, 99]) duration.record(slot, value)
  assert.equal(
    render(registry),
    `# HELP requests_total All of them.
# TYPE requests_total counter
requests_total{code="200"} 3
# TYPE duration_ms histogram
duration_ms_bucket{code="200",le="1"} 2
duration_ms_bucket{code="200",le="2.5"} 3
duration_ms_bucket{code="200",le="+Inf"} 4
duration_ms_sum{code="200"} 102
duration_ms_count{code="200"} 4
# TYPE up gauge
up 1
`,
  )
})

test('OpenMetrics names the family without _total and ends with # EOF', () => {
  const registry = new MetricsRegistry()
  const table = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  registry.counter('requests_total', '', table).add(table.slot([]), 3)
  assert.equal(
    render(registry, 'openmetrics'),
    '# TYPE requests counter\nrequests_total 3\n# EOF\n',
  )
})

test('OpenMetrics is spoken only to whoever names it', () => {
  assert.equal(formatFor(undefined), 'prometheus')
  assert.equal(formatFor('*/*'), 'prometheus')
  assert.equal(formatFor('text/plain;version=0.0.4'), 'prometheus')
  assert.equal(
    formatFor('application/openmetrics-text;version=1.0.0,text/plain;q=0.5'),
    'openmetrics',
  )
  assert.equal(formatFor('application/openmetrics-text;q=0,text/plain'), 'prometheus')
})

test('no label value can forge a line (random values, seed 3)', () => {
  const random = seededRandom(3)
  const alphabet = ['a', '"', '\\', '\n', '}', ' ', '1', '#', ',']
  const registry = new MetricsRegistry()
  const table = registry.table({ labels: ['v'], maxSeries: 10_000, expiryMs: 0 })
  const counter = registry.counter('c', '', table)
  const values = new Set<string>()
  for (let i = 0; i < 2_000; i++) {
    const length = Math.floor(random() * 8)
    const value = Array.from({ length }, () => alphabet[Math.floor(random() * 9)]).join('')
    values.add(value)
    counter.set(table.slot([value]), 5)
  }
  const lines = render(registry).trimEnd().split('\n').slice(1)
  const unescaped = lines.map((line) => {
    const label = /^c\{v="((?:[^"\\\n]|\\["\\n])*)"\} 5$/.exec(line)?.[1]
    assert.ok(label !== undefined, line)
    return label.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c))
  })
  assert.deepEqual(new Set(unescaped), values)
})

test('a bucket holds its own bound, and zero and infinity have a place', () => {
  const registry = new MetricsRegistry()
  const table = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  const histogram = registry.histogram('h', '', table)
  const slot = table.slot([])
  histogram.record(slot, 0)
  for (const bound of histogram.bounds) histogram.record(slot, bound)
  histogram.record(slot, 1e12)
  assert.equal(histogram.bucket(slot, 0), 2)
  for (let i = 1; i <= histogram.bounds.length; i++) assert.equal(histogram.bucket(slot, i), 1)
})

test('a metric without a series is not shown', () => {
  const registry = new MetricsRegistry()
  registry.counter('c', '', registry.table({ labels: ['a'], maxSeries: 1, expiryMs: 0 }))
  assert.equal(render(registry), '')
})

test('a name cannot be registered twice', () => {
  const registry = new MetricsRegistry()
  const table = registry.table({ labels: [], maxSeries: 1, expiryMs: 0 })
  registry.counter('c', '', table)
  assert.throws(() => registry.gauge('c', '', table), /must be new, got c/)
})

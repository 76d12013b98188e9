import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { MetricsRegistry } from './metrics.ts'
import { OVERFLOW, SeriesTable } from './series-table.ts'

const labelsOf = (table: SeriesTable) => [...table.series()].map(({ values }) => values.join())

describe('series table', () => {
  test('the same labels always get the same slot', () => {
    const table = new SeriesTable({ labels: ['a', 'b'], maxSeries: 10, expiryMs: 0 })
    const slot = table.slot(['x', 'y'])
    assert.equal(table.slot(['x', 'y']), slot)
    assert.notEqual(table.slot(['x', 'z']), slot)
  })

  test('labels that join to the same text stay apart', () => {
    const table = new SeriesTable({ labels: ['a', 'b'], maxSeries: 10, expiryMs: 0 })
    assert.notEqual(table.slot(['x,', 'y']), table.slot(['x', ',y']))
  })

  test('a full table of young series counts newcomers as overflow, kept labels excepted', () => {
    const table = new SeriesTable({
      labels: ['reporter', 'host'],
      maxSeries: 2,
      expiryMs: 0,
      keptOnOverflow: ['reporter'],
    })
    for (const host of ['a', 'b', 'c', 'd']) table.slot(['source', host])
    table.slot(['destination', 'e'])
    assert.deepEqual(labelsOf(table), [
      'source,a',
      'source,b',
      `source,${OVERFLOW}`,
      `destination,${OVERFLOW}`,
    ])
    assert.equal(table.overflowed, 3)
  })

  test('a full table gives up the least recently used series once it was idle for a minute', () => {
    const table = new SeriesTable({ labels: ['host'], maxSeries: 2, expiryMs: 0 })
    table.slot(['old'])
    const used = table.slot(['used'])
    table.sweep(61_000)
    table.touch(used)
    const before = table.epoch
    table.slot(['new'])
    assert.deepEqual(labelsOf(table), ['used', 'new'])
    assert.notEqual(table.epoch, before)
    table.slot(['another'])
    assert.deepEqual(labelsOf(table), ['used', 'new', OVERFLOW])
  })

  test('an idle series expires, and its slot starts at zero for whoever gets it', () => {
    const registry = new MetricsRegistry()
    const table = registry.table({ labels: ['host'], maxSeries: 5, expiryMs: 10_000 })
    const counter = registry.counter('c', '', table)
    const histogram = registry.histogram('h', '', table)
    const slot = table.slot(['a'])
    counter.add(slot, 7)
    histogram.record(slot, 3)
    registry.sweep(10_000)
    assert.equal(table.size, 1)
    registry.sweep(11_000)
    assert.equal(table.size, 0)
    assert.equal(table.slot(['b']), slot)
    assert.equal(counter.value(slot), 0)
    assert.equal(histogram.count(slot), 0)
    assert.equal(histogram.sum(slot), 0)
  })

  test('a hundred thousand random hosts leave a bounded table', () => {
    const random = seededRandom(20)
    const registry = new MetricsRegistry()
    const table = registry.table({ labels: ['host'], maxSeries: 500, expiryMs: 60_000 })
    const counter = registry.counter('c', '', table)
    for (let i = 0; i < 100_000; i++) {
      if (i % 100 === 0) registry.sweep(i * 10)
      counter.add(table.slot([`h${Math.floor(random() * 1e9)}`]), 1)
      assert.ok(table.size <= 501)
    }
  })

  test('twenty thousand adds to random series lose nothing while none is evicted', () => {
    const random = seededRandom(7)
    const registry = new MetricsRegistry()
    const table = registry.table({ labels: ['k'], maxSeries: 100, expiryMs: 0 })
    const counter = registry.counter('c', '', table)
    const expected = new Map<string, number>()
    for (let i = 0; i < 20_000; i++) {
      const key = `k${Math.floor(random() * 100)}`
      counter.add(table.slot([key]), 2)
      expected.set(key, (expected.get(key) ?? 0) + 2)
    }
    const seen = new Map([...table.series()].map((s) => [s.values[0], counter.value(s.slot)]))
    assert.deepEqual(seen, expected)
  })
})

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CallTotals, quantile, rateCalls, readCalls } from './calls.ts'

function exposition(calls: readonly [string, string, string, string, number, number][]): string {
  return calls
    .map(
      ([reporter, source, destination, version, status, count]) =>
        `istio_requests_total{reporter="${reporter}",source_app="${source}",destination_app="${destination}",destination_version="${version}",response_code="${status}"} ${count}`,
    )
    .join('\n')
}

describe('readCalls()', () => {
  test('adds what several proxies tell of the same hop and counts 5xx and 0 as failures', () => {
    const totals = readCalls([
      exposition([
        ['source', 'a', 'b', 'v1', 200, 7],
        ['source', 'a', 'b', 'v1', 503, 2],
      ]),
      exposition([['source', 'a', 'b', 'v1', 0, 1]]),
    ])
    const call = totals.get('source|a|b|v1')
    assert.deepEqual([call?.requests, call?.succeeded], [10, 7])
  })

  test('reads histograms and ignores everything else', () => {
    const totals = readCalls([
      [
        '# TYPE istio_request_duration_milliseconds histogram',
        'istio_request_duration_milliseconds_bucket{reporter="source",source_app="a",destination_app="b",destination_version="v1",le="5"} 3',
        'istio_request_duration_milliseconds_bucket{reporter="source",source_app="a",destination_app="b",destination_version="v1",le="+Inf"} 4',
        'other_total{x="y"} 5',
        'istio_request_duration_milliseconds_sum{reporter="source"} 5',
      ].join('\n'),
    ])
    assert.equal(totals.size, 1)
    const buckets = totals.get('source|a|b|v1')?.buckets
    assert.deepEqual(
      [...(buckets ?? [])],
      [
        [5, 3],
        [Number.POSITIVE_INFINITY, 4],
      ],
    )
  })
})

describe('rateCalls()', () => {
  const read = (...calls: Parameters<typeof exposition>[0][number][]) =>
    readCalls([exposition(calls)])
  const none: ReadonlyMap<string, CallTotals> = new Map()

  test('shares are among the versions that one caller called', () => {
    const now = read(
      ['source', 'a', 'b', 'v1', 200, 90],
      ['source', 'a', 'b', 'v2', 200, 10],
      ['source', 'x', 'b', 'v2', 200, 50],
    )
    const rows = rateCalls(none, now, 10_000)
    assert.deepEqual(
      rows.map((row) => [row.source, row.version, row.share, row.requestsPerSecond]),
      [
        ['a', 'v1', 0.9, 9],
        ['a', 'v2', 0.1, 1],
        ['x', 'v2', 1, 5],
      ],
    )
  })

  test('only what happened since the reading before counts', () => {
    const before = read(['source', 'a', 'b', 'v1', 200, 90], ['source', 'a', 'b', 'v2', 200, 10])
    const now = read(['source', 'a', 'b', 'v1', 200, 92], ['source', 'a', 'b', 'v2', 200, 10])
    const rows = rateCalls(before, now, 1_000)
    assert.deepEqual(
      rows.map((row) => [row.version, row.share, row.requestsPerSecond]),
      [['v1', 1, 2]],
    )
  })

  test('copies are what the called side saw and the caller did not wait for', () => {
    const now = read(
      ['source', 'a', 'b', 'v1', 200, 100],
      ['destination', 'a', 'b', 'v1', 200, 99],
      ['destination', 'a', 'b', 'v3', 200, 100],
    )
    const rows = rateCalls(none, now, 10_000)
    assert.deepEqual(
      rows.map((row) => [row.version, row.isMirrored, row.requestsPerSecond]),
      [
        ['v1', false, 10],
        ['v3', true, 10],
      ],
    )
  })

  test('failures show as success below 1', () => {
    const now = read(['source', 'a', 'b', 'v1', 200, 3], ['source', 'a', 'b', 'v1', 504, 1])
    assert.equal(rateCalls(none, now, 1_000)[0]?.success, 0.75)
  })
})

describe('quantile()', () => {
  const buckets = new Map([
    [10, 50],
    [20, 100],
    [Number.POSITIVE_INFINITY, 100],
  ])

  test('is linear within a bucket, as PromQL has it', () => {
    assert.equal(quantile(buckets, 0.5), 10)
    assert.equal(quantile(buckets, 0.75), 15)
  })

  test('is the largest bound when the rank lies beyond it', () => {
    const beyond = new Map([
      [10, 0],
      [Number.POSITIVE_INFINITY, 5],
    ])
    assert.equal(quantile(beyond, 0.5), 10)
  })

  test('is nothing without requests', () => {
    assert.equal(quantile(new Map(), 0.5), undefined)
    assert.equal(quantile(new Map([[10, 0]]), 0.99), undefined)
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Result, renderTable, summarize } from './report.ts'

const sample = (cpuUs: number) => ({
  cpuUs,
  userUs: cpuUs / 4,
  systemUs: cpuUs / 2,
  perSecond: 1e6 / cpuUs,
})

test('a summary is the median with its range', () => {
  const summary = summarize([sample(30), sample(10), sample(20)])
  assert.deepEqual(
    [summary.cpuUs, summary.minCpuUs, summary.maxCpuUs, summary.userUs],
    [20, 10, 30, 5],
  )
})

test('ratios compare rows with the same access log, and a missing peer is a dash', () => {
  const result = (name: string, accessLog: boolean, cpuUs: number): Result => ({
    name,
    accessLog,
    ...summarize([sample(cpuUs)]),
    anonMb: 1,
    rssMb: 2,
  })
  const table = renderTable('machine', 1, [
    result('weft', false, 9),
    result('haproxy', false, 10),
    result('haproxy', true, 3),
  ])
  const weft = table.split('\n').find((line) => line.startsWith('| weft '))
  assert.deepEqual(weft?.split(' | ').slice(4, 7), ['0.90', '–', '–'])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseEncoding } from './accept-encoding.ts'

const ALL = ['br', 'gzip', 'zstd'] as const

const CASES: readonly [header: string, chosen: string | undefined][] = [
  ['', undefined],
  ['gzip', 'gzip'],
  ['GZip', 'gzip'],
  ['x-gzip', 'gzip'],
  ['gzip, br', 'br'],
  ['gzip;q=1, br;q=0.5', 'gzip'],
  ['gzip ; q=0.8 , zstd;q=0.9', 'zstd'],
  ['gzip;q=0', undefined],
  ['gzip;q=0.000, *', 'br'],
  ['*', 'br'],
  ['*;q=0', undefined],
  ['br;q=0, *;q=0.1', 'gzip'],
  ['identity', undefined],
  ['identity;q=0.5, gzip', 'gzip'],
  ['identity, gzip;q=0.5', undefined],
  ['identity;q=0, gzip;q=0.1', 'gzip'],
  ['deflate', undefined],
  ['gzip;q=oops', undefined],
  ['gzip;q=2', undefined],
  [',, gzip ,', 'gzip'],
]

for (const [header, chosen] of CASES) {
  test(`accept-encoding "${header}" gets ${chosen ?? 'the answer as it is'}`, () => {
    assert.equal(chooseEncoding(header, ALL), chosen)
  })
}

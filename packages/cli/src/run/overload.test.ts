import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { DEFAULT_OVERLOAD } from '@weft/proxy'
import type { Arguments } from '../arguments.ts'
import { UsageError } from '../command.ts'
import { overloadOf } from './overload.ts'

const folder = await mkdtemp(join(tmpdir(), 'weft-overload-'))
after(() => rm(folder, { recursive: true, force: true }))

function given(values: Record<string, string>): Arguments {
  return { value: (name: string) => values[name] } as Arguments
}

function file(text: string): string {
  const path = join(folder, 'overload.yaml')
  writeFileSync(path, text)
  return path
}

describe('what a proxy gives up when something runs out', () => {
  test('without a word it is what is built in', () => {
    assert.deepEqual(overloadOf(given({})), DEFAULT_OVERLOAD)
  })

  for (const [text, bytes] of [
    ['256MiB', 268_435_456],
    ['256M', 268_435_456],
    ['1g', 1_073_741_824],
    ['65536', 65_536],
  ] as const) {
    test(`--memory-limit ${text} is ${bytes} bytes`, () => {
      assert.equal(overloadOf(given({ 'memory-limit': text })).maxMemoryBytes, bytes)
    })
  }

  for (const text of ['', 'much', '0', '-1M', '1.5G', '256 MB']) {
    test(`--memory-limit '${text}' is refused`, () => {
      assert.throws(() => overloadOf(given({ 'memory-limit': text })), UsageError)
    })
  }

  test('--overload reads an overload_manager alone, and one in a bootstrap', () => {
    for (const text of ['refresh_interval: 1s', 'overload_manager: {refresh_interval: 1s}']) {
      assert.equal(overloadOf(given({ overload: file(text) })).refreshMs, 1_000)
    }
  })

  test('--overload says where the file is wrong', () => {
    assert.throws(
      () => overloadOf(given({ overload: file('actions: [{name: x}]') })),
      /overload\.yaml: overload_manager\.actions\[0\]\.name: must be one of/,
    )
    assert.throws(() => overloadOf(given({ overload: join(folder, 'none') })), /ENOENT/)
  })
})

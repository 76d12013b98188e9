import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openFileLimit } from './open-file-limit.ts'

test('the limit is read where the system tells it, and unknown elsewhere', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-limits-'))
  const path = join(folder, 'limits')
  try {
    await writeFile(
      path,
      'Limit\nMax processes  7 8 processes\nMax open files   256   1024   files\n',
    )
    assert.equal(await openFileLimit(path), 256)
    await writeFile(path, 'Max open files  unlimited  unlimited  files\n')
    assert.equal(await openFileLimit(path), undefined)
    assert.equal(await openFileLimit(join(folder, 'absent')), undefined)
  } finally {
    await rm(folder, { recursive: true })
  }
})

import assert from 'node:assert/strict'
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { applyFile } from './apply.ts'
import { LastGoodTexts } from './last-good.ts'
import { OWNER_ONLY, writeAtomically } from './write-atomically.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-write-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const modeOf = (path: string) => statSync(path).mode & 0o777

test('R75: a file never becomes readable to more people than it was', (t) => {
  const path = join(folderOf(t), 'a.yaml')
  writeAtomically(path, 'one')
  assert.equal(modeOf(path), 0o644)
  for (const mode of [0o600, 0o640, 0o400, 0o644]) {
    writeFileSync(path, 'before', { flag: 'w' })
    chmodSync(path, mode)
    writeAtomically(path, 'after')
    assert.equal(readFileSync(path, 'utf8'), 'after')
    assert.equal(modeOf(path), mode)
    chmodSync(path, 0o644)
  }
  writeAtomically(path, 'keys', OWNER_ONLY)
  assert.equal(modeOf(path), 0o600)
})

test('R75: Secrets are kept for the eyes of their owner only', async (t) => {
  const folder = folderOf(t)
  const secret = (name: string) =>
    `apiVersion: v1\nkind: Secret\nmetadata: {name: ${name}}\nstringData: {a: canary}\n`
  const { objects } = await applyFile(folder, secret('one'), '<test>')
  assert.equal(modeOf(objects[0]?.file ?? ''), 0o600)
  const kept = join(folder, 'last-good')
  new LastGoodTexts(kept).write('a.yaml', secret('two'))
  assert.equal(modeOf(kept), 0o700)
  for (const name of readdirSync(kept)) assert.equal(modeOf(join(kept, name)), 0o600)
})

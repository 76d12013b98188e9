import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '..')
const EXACT = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/

test('every dependency of every package is pinned to one exact version', () => {
  const files = ['package.json', ...globSync('packages/*/package.json', { cwd: ROOT })]
  assert.ok(files.length > 1)
  for (const file of files) {
    const { dependencies, devDependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(ROOT, file), 'utf8'),
    )
    const wanted = { ...dependencies, ...devDependencies, ...optionalDependencies }
    for (const [name, version] of Object.entries<string>(wanted)) {
      assert.match(version, EXACT, `${file} asks for ${name} ${version}`)
    }
  }
})

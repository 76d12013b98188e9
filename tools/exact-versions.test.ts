import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '..')
/** A version, or another package's name with its version: two versions of one package side by side. */
const EXACT = /^(?:npm:(?:@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/

test('ranges, tags and aliases without a version are not exact', () => {
  for (const version of ['1.2.3', '1.0.0-alpha.3', 'npm:a@0.0.27', 'npm:@scope/a@1.0.0-rc.1']) {
    assert.match(version, EXACT)
  }
  const loose = ['^1.2.3', '~1.2.3', '1.2', '*', 'latest', 'npm:a', 'npm:a@^1.2.3', 'npm:a@latest']
  for (const version of loose) assert.doesNotMatch(version, EXACT)
})

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

/** R62: no default keys anywhere: in the sources, in the examples, in what is built of them. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { keysIn } from './default-keys.ts'

const ROOT = join(import.meta.dirname, '..')
/** Tests bring keys of their own, and are neither built nor shipped. */
const IS_TEST = /\.test\.ts$|\.fuzz\.ts$|\.bench\.ts$|conformance\.ts$|fixture|\/golden\/|arbitrary/

function problemsIn(files: readonly string[]): readonly string[] {
  return files.flatMap((file) =>
    keysIn(readFileSync(join(ROOT, file), 'utf8')).map((found) => `${file}: ${found}`),
  )
}

test('R62: keys of every kind are found where there are some', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  for (const text of [
    pem,
    JSON.stringify(pem),
    publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    JSON.stringify(publicKey.export({ format: 'jwk' })),
    `{kty: 'oct', k: '${'a'.repeat(43)}'}`,
    'eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJhIn0.c2lnbmF0dXJl',
    "const DEFAULT_PASSPHRASE = 'correct-horse'",
    'signing_key: "0123456789abcdef"',
  ]) {
    assert.notDeepEqual(keysIn(text), [], text.slice(0, 60))
  }
  for (const text of [
    'readPem(text, "CERTIFICATE")',
    `\`-----BEGIN \${label}-----\\n\${body}\``,
    'passphrase: args.value("ca-passphrase-file")',
  ]) {
    assert.deepEqual(keysIn(text), [], text)
  }
})

test('R62: there is no key in the sources and in the examples', () => {
  const sources = globSync('packages/*/{src,bin,build,demo}/**/*.{ts,js,mjs,json,yaml}', {
    cwd: ROOT,
  })
  const examples = globSync('examples/**/*.{ts,js,json,yaml,md}', { cwd: ROOT })
  const files = [...sources, ...examples].filter((file) => !IS_TEST.test(file))
  assert.ok(files.length > 500, `only ${files.length} files`)
  assert.deepEqual(problemsIn(files), [])
})

const built = join('packages', 'cli', 'dist')
const skip = existsSync(join(ROOT, built, 'current.json')) ? false : 'nothing is built yet'

test('R62: there is no key in the newest bundle', { skip }, () => {
  const { name } = JSON.parse(readFileSync(join(ROOT, built, 'current.json'), 'utf8'))
  const files = globSync(`${built}/${name}/**/*.{js,mjs,json,yaml}`, { cwd: ROOT })
  assert.ok(files.length > 10, `only ${files.length} files`)
  assert.deepEqual(problemsIn(files), [])
})

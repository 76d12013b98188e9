import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

/** Whatever can reach another host, as a program writes it. */
const CALLS =
  /\b(?:fetch|guardedFetch|createClient|createConnection|httpRequest|httpsRequest|(?:http|https|net|http2)\.(?:get|request|connect))\(|from '(?:undici|node:http2|node:dns(?:\/promises)?)'|\{[^}]*\b(?:get|request|connect)\b[^}]*\}[^;\n]*(?:from|=)[^;\n]*'node:(?:http|https|net|tls)'/

/** Why each of the others is no fetch whose target a tenant chooses. */
const KNOWN: Readonly<Record<string, string>> = {
  'ca/token-issuers.ts': 'guardedFetch: keys of issuers',
  'ca/federation/fetch-bundle.ts': 'guardedFetch: bundles of other trust domains',
  'ca/federation/foreign-bundles.ts': 'the one before, as a parameter',
  'rate-limit/redis-counts.ts': 'the Redis that the command line names',
  'admin/admin-server.ts': 'whether our own unix socket is in use',
  'admin/console-pages.ts': 'a script for browsers',
}

test('R76: the control plane asks nobody but by the guarded fetch, and whom its operator names', () => {
  const root = import.meta.dirname
  const files = globSync('**/*.ts', { cwd: root }).filter(
    (file) => !/\.test\.ts$|(^|\/)test-[\w-]+\.ts$|fixture\.ts$/.test(file),
  )
  assert.ok(files.length > 50)
  const callers = files.filter((file) => CALLS.test(readFileSync(join(root, file), 'utf8')))
  assert.deepEqual(
    callers.filter((file) => KNOWN[file] === undefined),
    [],
  )
  const guarded = callers.filter((file) => KNOWN[file]?.startsWith('guardedFetch'))
  assert.ok(guarded.includes('ca/token-issuers.ts'))
  for (const file of guarded) {
    const text = readFileSync(join(root, file), 'utf8')
    assert.match(text, /\bguardedFetch\(/, file)
    assert.doesNotMatch(text, /\bawait fetch\(|from 'node:https?'/, file)
  }
})

/** The example page in a browser: joins over WebSocket, calls a service and offers one. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../../', import.meta.url))
const chromiums = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const skip = chromiums.some((path) => existsSync(path))
  ? false
  : `NOT TESTED: no browser; none of ${chromiums.join(', ')} is there`

test('a page in Chromium calls a service and answers for one', {
  skip,
  timeout: 120_000,
}, async () => {
  const words = ['--conditions=source', 'examples/browser/serve.ts', '--check']
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: root })
  assert.match(stdout, /the page called prices\.quote and read prices\.watch/)
  assert.match(stdout, /the page answered screen\.show/)
})

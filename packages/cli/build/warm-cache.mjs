/**
 * Starts a sidecar once with nothing to do, so that the first real one finds its code compiled:
 * stripping types takes a second and 25 MB.
 *
 *     weft proxy, no resources -> "ready" -> SIGTERM -> it writes node_modules/.cache/weft
 *
 * Part of `prepare`. What it does is worth having and never worth failing for: it is bounded in
 * time and always exits 0.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const DEADLINE_MS = 20_000
const BIN = fileURLToPath(new URL('../bin/weft.js', import.meta.url))

try {
  const resources = mkdtempSync(join(tmpdir(), 'weft-warm-'))
  try {
    await warm(resources)
  } finally {
    rmSync(resources, { recursive: true, force: true })
  }
} catch {
  // The first start is a slow one then.
}

function warm(resources) {
  const words = ['--name', 'warm', '--resources', resources, '--json']
  const ports = ['--outbound', '127.0.0.1:0', '--admin', '127.0.0.1:0']
  const child = spawn(process.execPath, [BIN, 'proxy', ...words, ...ports], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const giveUp = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
    if (output.includes('"ready":true')) child.kill('SIGTERM')
  })
  return new Promise((resolve) => {
    child.once('error', resolve)
    child.once('exit', resolve)
  }).finally(() => clearTimeout(giveUp))
}

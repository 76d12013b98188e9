/** Every example starts, proves itself and stops. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../', import.meta.url))

for (const file of globSync('examples/*/run.ts', { cwd: root })) {
  test(`${file} proves itself`, async () => {
    const child = spawn(process.execPath, ['--conditions=source', file], { cwd: root })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
      })
    }
    const [exitCode] = await once(child, 'close')
    assert.equal(exitCode, 0, output)
  })
}

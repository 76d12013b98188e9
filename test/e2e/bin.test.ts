/** `bin/weft.js` on the Node that the machine happens to have. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { describe, test } from 'node:test'
import { runWeft, startWeft } from './weft.ts'

const OLD = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => {
  if (!existsSync(path)) return false
  const major = Number(
    spawnSync(path, ['-p', 'process.versions.node']).stdout.toString().split('.')[0],
  )
  return major >= 18 && major < 24
})
const skip = OLD === undefined ? 'no older Node on this machine' : false

describe('weft on an older Node', () => {
  const node = OLD ?? ''

  test('goes on with the Node of the project', { skip }, async () => {
    const { exitCode, output } = await runWeft(['version', '--json'], { node })
    assert.equal(exitCode, 0)
    assert.ok(Number(JSON.parse(output).node.split('.')[0]) >= 24, output)
  })

  test('passes on exit codes and standard input', { skip }, async () => {
    assert.equal((await runWeft(['nonsense'], { node })).exitCode, 2)
    const { exitCode } = await runWeft(['validate', '-'], { node, input: 'a: [' })
    assert.equal(exitCode, 1)
  })

  test('passes on a signal and leaves nobody behind', { skip }, async () => {
    await using weft = startWeft(
      [
        'run',
        '--control',
        '127.0.0.1:1',
        '--',
        process.execPath,
        '-e',
        'console.log(process.pid); setInterval(() => {}, 1e6)',
      ],
      { node },
    )
    await weft.saw(/\d+\n/)
    const pid = Number(/\d+/.exec(weft.output())?.[0])
    weft.process.kill('SIGTERM')
    const { exitCode } = await weft.finished
    assert.equal(exitCode, 143)
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
  })
})

test('ends when the npx that started it is killed, and takes the application along', async () => {
  const app = 'console.log(process.pid); setInterval(() => {}, 1e6)'
  const npx = spawn(
    'npx',
    ['weft', 'run', '--control', '127.0.0.1:1', '--', process.execPath, '-e', app],
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  const [started] = await once(npx.stdout, 'data')
  npx.kill('SIGTERM')
  // The pipe closes when nobody holds it any more: neither npx nor weft nor the application.
  await once(npx, 'close')
  assert.throws(() => process.kill(Number(started), 0), { code: 'ESRCH' })
})

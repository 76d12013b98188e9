/** `bin/weft.js` on the Node that the machine happens to have. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
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

describe('weft on an older Node', { skip }, () => {
  const node = OLD ?? ''

  test('goes on with the Node of the project', async () => {
    const { exitCode, output } = await runWeft(['version', '--json'], { node })
    assert.equal(exitCode, 0)
    assert.ok(Number(JSON.parse(output).node.split('.')[0]) >= 24, output)
  })

  test('passes on exit codes and standard input', async () => {
    assert.equal((await runWeft(['nonsense'], { node })).exitCode, 2)
    const { exitCode } = await runWeft(['validate', '-'], { node, input: 'a: [' })
    assert.equal(exitCode, 1)
  })

  test('passes on a signal and leaves nobody behind', async () => {
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

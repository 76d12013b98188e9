/** `weft run`: one life for an application and its sidecar. */
import assert from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { eventually, freePort, runWeft, serverCode, startWeft, temporaryFolder } from './weft.ts'

const node = process.execPath

describe('weft run', () => {
  test('exits with the code of its command, also without a control plane', async () => {
    for (const code of [0, 7]) {
      const { exitCode } = await runWeft([
        ...['run', '--control', '127.0.0.1:1', '--'],
        ...[node, '-e', `process.exit(${code})`],
      ])
      assert.equal(exitCode, code)
    }
  })

  test('ends at most 200 ms after its command', async () => {
    const code = 'setTimeout(() => { console.log(Date.now()); process.exit(3) }, 300)'
    const weft = startWeft(['run', '--control', '127.0.0.1:1', '--', node, '-e', code])
    const { exitCode, output } = await weft.finished
    assert.equal(exitCode, 3)
    const afterMs = Date.now() - Number(output)
    assert.ok(afterMs <= 200, `ended ${afterMs} ms after its command`)
  })

  test('says so when there is no such command', async () => {
    const { exitCode, errors } = await runWeft([
      ...['run', '--control', '127.0.0.1:1', '--', 'no-such-command'],
    ])
    assert.equal(exitCode, 127)
    assert.match(errors, /Cannot run no-such-command: there is no such command/)
  })

  test('passes signals on and exits as its command does', async () => {
    const code =
      "process.on('SIGTERM', () => process.exit(9)); console.log('up'); setInterval(() => {}, 1e6)"
    await using weft = startWeft(['run', '--control', '127.0.0.1:1', '--', node, '-e', code])
    await weft.saw('up')
    weft.process.kill('SIGTERM')
    assert.equal((await weft.finished).exitCode, 9)
  })

  test('holds what its command dials until the first configuration', async () => {
    await using folder = await temporaryFolder()
    const [xds, admin] = [await freePort(), await freePort()]
    const control = `127.0.0.1:${xds}`
    const state = ['--control', control, '--state', join(folder.path, 'state')]
    const mesh = join(folder.path, 'mesh')
    await mkdir(mesh)
    const startPlane = async () => {
      const plane = startWeft([
        ...['control', mesh, '--xds', control, '--admin', `127.0.0.1:${admin}`],
        ...['--state', join(folder.path, 'plane')],
      ])
      await plane.saw('Control plane is up')
      return plane
    }
    await using first = await startPlane()
    await using called = startWeft([
      ...['run', ...state, '--service', 'hello', '--port', '8000', '--app-port', '0'],
      ...['--', node, '-e', serverCode('hello')],
    ])
    const services = () => runWeft(['get', 'services', '--control', `127.0.0.1:${admin}`])
    await eventually(services, ({ output }) => /hello.* 1 +selfRegistered/.test(output))
    // A control plane that is killed remembers who was healthy once that is on its disk.
    const saved = () =>
      readFile(join(folder.path, 'plane', 'registrations.json'), 'utf8').catch(() => '')
    await eventually(saved, (text) => /"health": *"healthy"/.test(text))
    first.process.kill('SIGKILL')
    await first.finished

    // No control plane, nothing on disk: the caller dials at once and waits.
    const code =
      "const t = Date.now(); fetch('http://hello:8000/x').then(async (r) => console.log(r.status, await r.text(), Date.now() - t > 500))"
    await using caller = startWeft(['run', ...state, '--', node, '-e', code])
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    assert.equal(caller.output(), '')
    await using _second = await startPlane()
    const { exitCode, output } = await caller.finished
    assert.equal(exitCode, 0)
    assert.equal(output, '200 hello /x true\n')
    assert.equal(called.process.exitCode, null)
  })
})

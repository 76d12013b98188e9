/** What people type in their first hour, and what they get to read. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { runWeft, temporaryFolder } from './weft.ts'

describe('a newcomer who types something wrong', () => {
  const cases: [string[], number, RegExp][] = [
    [['dmeo'], 2, /no command 'dmeo'. Did you mean weft demo\?/],
    [['demo', '--chekc'], 2, /no option --chekc; did you mean --check\?/],
    [['validate'], 2, /needs a file, a folder, or -/],
    [['validate', 'missing.yaml'], 2, /Cannot read missing.yaml: there is no such file/],
    [['run', '--service', 'a', '--port', '80'], 2, /needs a command after --/],
    [['run', '--service', 'a', '--', 'true'], 2, /--service and --port belong together/],
    [['run', 'node', 'app.js'], 2, /does not take 'node' \(the command goes after --\)/],
    [['run', '--service', 'My_App', '--port', '80', '--', 'true'], 2, /lower-case letters/],
    [['apply', '-f'], 2, /--file needs a value/],
    [['get', 'routes', '--from', 'a/b', '--control', 'nonsense'], 2, /must look like 127.0.0.1/],
    [['get', 'routs'], 2, /not 'routs'; did you mean routes\?/],
    [['status', '--control', '127.0.0.1:1'], 3, /Cannot reach a control plane at .*weft up/],
    [['simulate', '-f', '-', '--call', '{'], 2, /The call is not JSON/],
    [['proxy', '--role', 'gatway'], 2, /did you mean gateway\?/],
  ]
  for (const [words, exitCode, message] of cases) {
    test(`weft ${words.join(' ')}`, async () => {
      const finished = await runWeft(words)
      assert.match(finished.errors, message)
      assert.equal(finished.exitCode, exitCode)
      assert.doesNotMatch(finished.errors, /\n\s+at /, 'a stack is not an explanation')
    })
  }

  test('an invalid file is not applied, and the line is shown', async () => {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'typo.yaml')
    await writeFile(
      file,
      'apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  htpt: []\n',
    )
    const finished = await runWeft(['apply', '-f', file, '--dir', join(folder.path, 'mesh')])
    assert.equal(finished.exitCode, 1)
    assert.match(finished.errors, /typo\.yaml:6/)
    assert.match(finished.errors, /did you mean "http"/)
    assert.match(finished.errors, /Nothing was applied/)
  })
})

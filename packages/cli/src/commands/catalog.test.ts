import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { Command } from '../command.ts'
import { dispatch } from '../dispatch.ts'
import { fakeTerminal } from '../terminal/fake-terminal.ts'
import { commands } from './catalog.ts'

test('every file of this folder is a command in the catalog', () => {
  const files = readdirSync(import.meta.dirname)
    .filter((file) => !file.includes('.test.') && file !== 'catalog.ts')
    .map((file) => file.replace('.ts', ''))
  assert.deepEqual(files.sort(), Object.keys(commands).sort())
})

// Whatever a command does, it promises these.
for (const [name, command] of Object.entries(commands) as [string, Command][]) {
  describe(`weft ${name}`, () => {
    test('is called what the catalog calls it', () => {
      assert.equal(command.name, name)
    })

    for (const words of [
      [name, '--help'],
      [name, '-h'],
      ['help', name],
    ]) {
      test(`explains itself on \`weft ${words.join(' ')}\` and exits 0`, async () => {
        const terminal = fakeTerminal()
        assert.equal(await dispatch(words, terminal), 0)
        assert.match(terminal.output(), new RegExp(`usage: weft ${name}`))
        assert.match(terminal.output(), /--json/)
        assert.match(terminal.output(), /exit codes\n {2}0 /)
        for (const code of Object.keys(command.exits)) {
          assert.match(terminal.output(), new RegExp(`^ {2}${code} `, 'm'))
        }
      })
    }

    test('refuses an unknown option, says which was meant, and exits 2', async () => {
      const terminal = fakeTerminal()
      assert.equal(await dispatch([name, '--jsno'], terminal), 2)
      assert.match(terminal.errors(), /has no option --jsno; did you mean --json\?/)
    })

    test('writes its summary and options as one line each, without a final period', () => {
      const texts = [
        command.summary,
        ...Object.values(command.options).map((option) => option.describe),
      ]
      for (const text of texts) assert.doesNotMatch(text, /\n|\.$|^[A-Z][a-z]/)
    })

    test('shows examples that parse', () => {
      for (const example of command.examples) assert.match(example, /\bweft /)
    })
  })
}

test('an unknown command is refused with the nearest one', async () => {
  const terminal = fakeTerminal()
  assert.equal(await dispatch(['verison'], terminal), 2)
  assert.match(terminal.errors(), /no command 'verison'. Did you mean weft version\?/)
})

test('a word that is near to nothing leads to the list', async () => {
  const terminal = fakeTerminal()
  assert.equal(await dispatch(['xyzzyplugh'], terminal), 2)
  assert.match(terminal.errors(), /weft --help/)
})

test('weft alone lists every command', async () => {
  const terminal = fakeTerminal()
  assert.equal(await dispatch([], terminal), 0)
  for (const name of Object.keys(commands))
    assert.match(terminal.output(), new RegExp(`  ${name} `))
})

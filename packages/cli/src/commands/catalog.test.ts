import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, test } from 'node:test'
import { freePort } from '@weft/testkit'
import { type Command, EXIT_UNREACHABLE } from '../command.ts'
import { dispatch } from '../dispatch.ts'
import { fakeTerminal } from '../terminal/fake-terminal.ts'
import { commands } from './catalog.ts'

/** What a command cannot do without, besides files. */
/** Files are instead of a control plane there. */
const ASKS_EITHER = ['get', 'describe', 'can', 'policy']
const NEEDED: Readonly<Record<string, readonly string[]>> = {
  describe: ['a/pay'],
  can: ['a/pay'],
  policy: ['diff', '-'],
  get: ['services'],
  token: ['create', '--service-account', 'a'],
  simulate: ['--call', '{"host":"a"}'],
}
const SERVICE = 'apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n'

/** An address where nobody listens. */
async function closedAddress(): Promise<string> {
  return `127.0.0.1:${await freePort()}`
}

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

    test('says with --json in one object what is wrong with the command line', async () => {
      for (const words of [
        [name, '--json', '--no-such-option'],
        [name, '--no-such-option', '--json'],
        [name, '--json=yes'],
      ]) {
        const terminal = fakeTerminal()
        assert.equal(await dispatch(words, terminal), 2)
        const { error } = JSON.parse(terminal.output())
        assert.equal(error.code, 'usage')
        assert.notEqual(error.message, '')
        assert.equal(error.hint, `Run weft ${name} --help.`)
      }
    })

    test('prints no JSON about a wrong command line when nobody asked for it', async () => {
      const terminal = fakeTerminal()
      assert.equal(await dispatch([name, '--no-such-option', '--', '--json'], terminal), 2)
      assert.equal(terminal.output(), '')
    })

    if (command.options.file !== undefined) {
      test('says with --json in one object that a file cannot be read', async () => {
        const terminal = fakeTerminal()
        const words = [...(NEEDED[name] ?? []), '-f', '/no/such/file.yaml', '--json']
        assert.equal(await dispatch([name, ...words], terminal), 2)
        const { error } = JSON.parse(terminal.output())
        assert.equal(error.code, 'unreadable')
        assert.match(error.message, /no\/such\/file\.yaml/)
      })
    }

    // A proxy that finds no control plane waits for it; its 3 is about another proxy's admin port.
    if (command.exits[EXIT_UNREACHABLE] !== undefined && name !== 'proxy') {
      test('says with --json in one object that no control plane answers', async () => {
        const terminal = fakeTerminal({ stdin: SERVICE })
        const mayAskFiles = command.options.file === undefined || ASKS_EITHER.includes(name)
        const file = mayAskFiles ? [] : ['-f', '-']
        const words = [...(NEEDED[name] ?? []), ...file, '--control', await closedAddress()]
        assert.equal(await dispatch([name, ...words, '--json'], terminal), EXIT_UNREACHABLE)
        const { error } = JSON.parse(terminal.output())
        assert.equal(error.code, 'unreachable')
        assert.match(error.hint, /weft up/)
        assert.match(terminal.errors(), /Cannot reach a control plane at .+\. Start one/)
      })
    }

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

test('with --json an unknown command is one object, too', async () => {
  for (const words of [
    ['verison', '--json'],
    ['help', 'verison', '--json'],
  ]) {
    const terminal = fakeTerminal()
    assert.equal(await dispatch(words, terminal), 2)
    assert.deepEqual(JSON.parse(terminal.output()), {
      error: {
        code: 'usage',
        message: "there is no command 'verison'",
        hint: 'Did you mean weft version?',
      },
    })
  }
})

test('delete --json says of a file that is no YAML what is wrong with it', async () => {
  const terminal = fakeTerminal({ stdin: 'a: [\n' })
  assert.equal(await dispatch(['delete', '-f', '-', '--json'], terminal), 1)
  const answer = JSON.parse(terminal.output())
  assert.equal(answer.error.code, 'unreadable')
  assert.deepEqual([answer.deleted, answer.missing], [[], []])
  assert.equal(answer.problems[0].severity, 'error')
})

test('weft alone lists every command', async () => {
  const terminal = fakeTerminal()
  assert.equal(await dispatch([], terminal), 0)
  for (const name of Object.keys(commands))
    assert.match(terminal.output(), new RegExp(`  ${name} `))
})

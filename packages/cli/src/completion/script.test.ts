import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { commands as catalog } from '../commands/catalog.ts'
import { renderCompletion, type Shell } from './script.ts'

const commands = Object.values(catalog)

/** What real shells make of the script: the answers to a line that ends at the cursor. */
function bashAnswers(...words: readonly string[]): readonly string[] {
  const ask = `${renderCompletion('bash', commands)}
compopt() { echo no files; }
COMP_WORDS=("$@"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _weft
printf '%s\\n' "\${COMPREPLY[@]}"`
  const { status, stdout, stderr } = spawnSync('bash', ['-c', ask, 'bash', 'weft', ...words], {
    encoding: 'utf8',
  })
  assert.equal(stderr, '')
  assert.equal(status, 0)
  return stdout.split('\n').filter((line) => line !== '')
}

function absence(shell: Shell): string | false {
  return spawnSync(shell, ['-c', 'true']).status === 0 ? false : `there is no ${shell} here`
}

describe('bash', { skip: absence('bash') }, () => {
  const cases: [string[], string[]][] = [
    [['comp'], ['completion']],
    [['get', 'r'], ['routes']],
    [['get', '--fr'], ['--from']],
    [
      ['proxy', '--role', ''],
      ['sidecar', 'gateway'],
    ],
    [['proxy', '-r', 'g'], ['gateway']],
    [['proxy', '--role', '=', 'g'], ['gateway']],
    [
      ['proxy', '--role', '='],
      ['sidecar', 'gateway'],
    ],
    [['status', '--al'], ['--all']],
    [['completion', 'z'], ['zsh']],
  ]
  for (const [words, answers] of cases) {
    test(`weft ${words.join(' ')}`, () => assert.deepEqual(bashAnswers(...words), answers))
  }

  test('offers files where a file is wanted, and after -- what the shell offers', () => {
    assert.deepEqual(bashAnswers('apply', '-f', ''), [])
    assert.deepEqual(bashAnswers('apply', '--file', 'ca'), [])
    assert.deepEqual(bashAnswers('validate', ''), [])
    assert.deepEqual(bashAnswers('run', '--service', 'a', '--', ''), [])
  })

  test('offers no files for what only the user knows', () => {
    assert.deepEqual(bashAnswers('run', '--service', ''), ['no files'])
  })

  test('offers the options of a command that takes no words', () => {
    assert.ok(bashAnswers('status', '').includes('--control'))
  })
})

test('zsh: the script is one, and loads completion where nobody has', {
  skip: absence('zsh'),
}, () => {
  const script = renderCompletion('zsh', commands)
  const ask = `${script}\nprint -r -- $_comps[weft]`
  const { status, stdout, stderr } = spawnSync('zsh', ['-f', '-c', ask], { encoding: 'utf8' })
  assert.equal(stderr, '')
  assert.equal(status, 0)
  assert.equal(stdout, '_weft\n')
})

describe('fish', { skip: absence('fish') }, () => {
  const answers = (line: string) => {
    const ask = `${renderCompletion('fish', commands)}\ncomplete -C '${line}'`
    const { status, stdout, stderr } = spawnSync('fish', ['--no-config', '-c', ask], {
      encoding: 'utf8',
    })
    assert.equal(stderr, '')
    assert.equal(status, 0)
    return stdout.split('\n').filter((one) => one !== '')
  }

  test('commands with their summaries, as people write them', () => {
    assert.deepEqual(answers('weft ge'), [
      `get\t${commands.find(({ name }) => name === 'get')?.summary}`,
    ])
  })

  test('options, their values, and words of commands', () => {
    assert.match(answers('weft proxy --role g').join(), /^gateway\b/)
    assert.match(answers('weft get --fro').join(), /^--from\t/)
    assert.ok(answers('weft get rou').includes('routes'))
  })
})

test('no script has a quote that its texts close', () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    for (const line of renderCompletion(shell, commands).split('\n')) {
      const quotes = line.replaceAll(/"[^"]*"/g, '').split("'").length - 1
      assert.equal(quotes % 2, 0, `${shell}: ${line}`)
    }
  }
})

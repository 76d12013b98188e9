import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseArguments } from './arguments.ts'
import type { Command } from './command.ts'

const command: Command = {
  name: 'try',
  group: 'this tool',
  summary: 'try it',
  synopsis: 'FILE…',
  description: '',
  options: {
    file: { kind: 'list', short: 'f', placeholder: 'FILE', describe: 'a file' },
    port: { kind: 'value', short: 'p', placeholder: 'PORT', describe: 'a port' },
    role: { kind: 'value', describe: 'a role', choices: ['sidecar', 'gateway'] },
    label: { kind: 'list', describe: 'a label' },
  },
  operands: { min: 0, max: 1 },
  exits: {},
  examples: [],
  run: async () => 0,
}
const parse = (...words: string[]) => parseArguments(command, words)

describe('parseArguments()', () => {
  test('reads values after a blank, after =, and attached to a letter', () => {
    for (const words of [['--port', '1'], ['--port=1'], ['-p', '1'], ['-p1'], ['-p=1']]) {
      assert.equal(parse(...words).port('port'), 1, words.join(' '))
    }
  })

  test('collects lists in order and takes the last of single values', () => {
    const args = parse('-f', 'a', '-p', '1', '--file=b', '-p', '2')
    assert.deepEqual(args.list('file'), ['a', 'b'])
    assert.equal(args.port('port'), 2)
  })

  test('takes a dash alone as a value and as an operand', () => {
    assert.deepEqual(parse('-f', '-').list('file'), ['-'])
    assert.deepEqual(parse('-').operands, ['-'])
  })

  test('keeps = and an empty text in values', () => {
    assert.deepEqual(parse('--label', 'a=b=c', '--label', 'd=').pairs('label'), { a: 'b=c', d: '' })
  })

  test('hands on what follows -- untouched to commands that take a command', () => {
    const runs = { ...command, takesCommand: true }
    const args = parseArguments(runs, ['-p', '1', '--', 'node', '--port', '--', 'x'])
    assert.deepEqual(args.command, ['node', '--port', '--', 'x'])
    assert.deepEqual(args.operands, [])
  })

  const refused: [string[], RegExp][] = [
    [['--prot', '1'], /no option --prot; did you mean --port\?/],
    [['-x'], /no option -x/],
    [['--port'], /--port needs a value/],
    [['--port', '--file'], /--port needs a value/],
    [['--json=yes'], /--json takes no value/],
    [['--role', 'gatway'], /one of sidecar, gateway, got 'gatway'; did you mean gateway\?/],
    [['a', 'b'], /does not take 'b'/],
  ]
  for (const [words, message] of refused) {
    test(`refuses ${words.join(' ')}`, () => {
      assert.throws(() => parse(...words), { name: 'UsageError', message })
    })
  }

  for (const port of ['-1', '65536', '1.5', 'x', '']) {
    test(`refuses the port '${port}'`, () => {
      assert.throws(() => parse(`--port=${port}`).port('port'), { name: 'UsageError' })
    })
  }

  test('refuses a pair without =', () => {
    assert.throws(() => parse('--label', 'x').pairs('label'), /must look like key=value/)
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineIndex } from './places.ts'
import { readYaml } from './read-yaml.ts'

function valuesOf(text: string): unknown {
  const { documents, problems } = readYaml(text)
  assert.deepEqual(problems, [])
  return JSON.parse(JSON.stringify(documents.map(({ value }) => value)))
}

function linesOf(text: string): readonly (readonly [number, string])[] {
  const lines = new LineIndex(text)
  return readYaml(text).problems.map(({ offset, code }) => [lines.positionOf(offset).line, code])
}

test('several documents, comments, directives and end markers are read', () => {
  const text = '# first\n%YAML 1.2\n---\na: 1\n---\n# nothing\n---\nb: 2\n...\n---\n- c\n'
  assert.deepEqual(valuesOf(text), [{ a: 1 }, { b: 2 }, ['c']])
})

test('a text with Windows line ends, a byte order mark and no final line end is read', () => {
  assert.deepEqual(valuesOf('\uFEFFa: 1\r\nb:\r\n  - x\r\n---\r\nc: end'), [
    { a: 1, b: ['x'] },
    { c: 'end' },
  ])
})

test('JSON is read, also indented by tabs', () => {
  assert.deepEqual(valuesOf('{\n\t"a": [1, true, null, "x"],\n\t"b": {"c": 1.5}\n}\n'), [
    { a: [1, true, null, 'x'], b: { c: 1.5 } },
  ])
})

test('anchors, aliases and merge keys are unfolded; what a map has itself wins', () => {
  const text =
    'base: &b {x: 1, y: 2}\nuse: *b\nmerged:\n  <<: *b\n  y: 3\nboth:\n  <<: [{z: 1}, {z: 2, q: 3}]\n'
  assert.deepEqual(valuesOf(text), [
    {
      base: { x: 1, y: 2 },
      use: { x: 1, y: 2 },
      merged: { x: 1, y: 3 },
      both: { z: 1, q: 3 },
    },
  ])
})

test('scalars are typed as kubectl types them', () => {
  const text =
    'a: yes\nb: "yes"\nc: off\nd: 0x10\ne: 1e3\nf: ~\ng: 2026-01-02\nh: 1_000\ni: .5\nj: n\n'
  assert.deepEqual(valuesOf(text), [
    {
      a: true,
      b: 'yes',
      c: false,
      d: 16,
      e: 1000,
      f: null,
      g: '2026-01-02',
      h: '1_000',
      i: 0.5,
      j: false,
    },
  ])
})

test('an IPv6 network in a flow list is a text', () => {
  assert.deepEqual(valuesOf('a: [1.2.3.4, ::1, 2001:db8::]'), [
    { a: ['1.2.3.4', '::1', '2001:db8::'] },
  ])
})

test('a key that appears twice is refused where it appears again', () => {
  assert.deepEqual(linesOf('a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n'), [[5, 'duplicate-key']])
  const [problem] = readYaml('b:\n  c: 1\n  c: 3\n').problems
  assert.equal(problem?.path, 'b.c')
})

test('a mistake in one document does not hide the others', () => {
  const text = 'a: 1\n---\nb: "open\nc: 2\n---\nd: [1, 2\n---\ne: 3\n'
  const { documents } = readYaml(text)
  assert.deepEqual(
    documents.map(({ value }) => ({ ...(value as object) })),
    [{ a: 1 }, { e: 3 }],
  )
  assert.deepEqual(new Set(linesOf(text).map(([, code]) => code)), new Set(['syntax']))
  assert.ok(linesOf(text).every(([line]) => line >= 3 && line <= 7))
})

test('a tab in the indentation is named as what is wrong', () => {
  const [problem] = readYaml('a:\n\tb: 1\n').problems
  assert.match(problem?.message ?? '', /a tab is used for indentation/)
})

test('an alias without an anchor is refused', () => {
  assert.deepEqual(linesOf('a: *nobody\n'), [[1, 'syntax']])
})

test('aliases that unfold to very much are refused in bounded time', () => {
  const levels = Array.from({ length: 9 }, (_, index) => {
    const before = index === 0 ? '"x"' : `*a${index - 1}`
    return `a${index}: &a${index} [${Array.from({ length: 10 }, () => before).join(', ')}]`
  })
  assert.deepEqual(linesOf(`${levels.join('\n')}\n`), [[1, 'too-large']])
  assert.deepEqual(linesOf('a: &a [*a]\n'), [[1, 'too-large']])
})

test('nesting beyond the limit, or beyond the stack, is refused', () => {
  assert.deepEqual(linesOf(`${'['.repeat(300)}${']'.repeat(300)}`), [[1, 'too-large']])
  assert.equal(readYaml('['.repeat(100_000)).documents.length, 0)
  assert.equal(readYaml(`${'- '.repeat(50_000)}x`).documents.length, 0)
})

test('a text beyond the limit is refused as a whole', () => {
  const limits = { maxChars: 10, maxNodes: 100, maxDepth: 10 }
  assert.deepEqual(
    readYaml('a: 1234567890', limits).problems.map(({ code }) => code),
    ['too-large'],
  )
})

test('`__proto__` is a key like any other', () => {
  const [document] = readYaml('__proto__: {polluted: true}\n').documents
  assert.equal(({} as { polluted?: boolean }).polluted, undefined)
  assert.deepEqual(Object.keys(document?.value as object), ['__proto__'])
})

test('nesting beyond any stack is one problem that says so', () => {
  for (const deep of ['['.repeat(20_000), '{"a":'.repeat(20_000)]) {
    const { documents, problems } = readYaml(deep)
    assert.deepEqual(documents, [])
    assert.deepEqual(
      problems.map(({ code, message }) => [code, message]),
      [['too-large', 'this document cannot be read: it is nested too deeply']],
    )
  }
})

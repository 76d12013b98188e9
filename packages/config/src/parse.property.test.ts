/** What must hold for every input, whatever it is. The seed is fixed; a failure prints it with the input. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Json, problemsOf, VALID } from './fixtures.ts'
import { KINDS } from './kinds/catalog.ts'
import { parseDocuments } from './parse.ts'
import { renderProblems } from './render-problems.ts'
import type { AnySchema } from './schema/schema.ts'
import { childPath, itemPath } from './text/places.ts'
import { validateDocuments } from './validate.ts'

const SEED = 20_261_121
const OBJECTS = Object.values(VALID) as readonly Json[]

/** Any JSON value with keys that occur in configuration, so that mutations go deep. */
const anyValue = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    fc.constantFrom<Json>(null, true, false, 0, -1, 1.5, 1e12, '', '*', 'a', '10.0.0.1', '5s', '%'),
    fc.string(),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom(
        'http',
        'match',
        'route',
        'name',
        'host',
        'hosts',
        'tls',
        'port',
        '__proto__',
      ),
      tie('value'),
      { maxKeys: 3 },
    ),
  ),
})).value

/** Replaces the value at the n-th place of the tree. */
function mutate(value: Json, countdown: { left: number }, replacement: Json): Json {
  if (countdown.left-- === 0) return replacement
  if (Array.isArray(value)) return value.map((item) => mutate(item, countdown, replacement))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, mutate(item, countdown, replacement)]),
  )
}

test('objects with any parts replaced by anything never throw', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...OBJECTS),
      fc.array(fc.tuple(fc.nat(120), anyValue), { minLength: 1, maxLength: 3 }),
      (object, changes) => {
        const changed = changes.reduce<Json>(
          (before, [left, value]) => mutate(before, { left }, value),
          object,
        )
        const text = JSON.stringify(changed, null, 1)
        const { problems } = validateDocuments([{ file: 'x', text }])
        renderProblems(problems, new Map([['x', text]]))
        for (const { line } of problems) assert.ok(line >= 1 && line <= text.split('\n').length)
      },
    ),
    { seed: SEED, numRuns: 2000 },
  )
})

test('any text never throws, and any cut of a valid text neither', () => {
  const yamlish = fc.array(
    fc.constantFrom(
      'a',
      ': ',
      '- ',
      '\n',
      '  ',
      '\t',
      '"',
      "'",
      '[',
      ']',
      '{',
      '}',
      '&x ',
      '*x',
      '|\n',
      '---\n',
      '#',
      '<<',
      '\r',
      '\uFEFF',
      ',',
      '!!',
      '?',
    ),
    { maxLength: 40 },
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        yamlish.map((parts) => parts.join('')),
      ),
      (text) => {
        parseDocuments(text, { file: 'x' })
      },
    ),
    { seed: SEED, numRuns: 3000 },
  )
  const whole = JSON.stringify(VALID.virtualService, null, 1)
  for (let end = 0; end < whole.length; end += 7) parseDocuments(whole.slice(0, end), { file: 'x' })
})

/** Every place of an object where the schema knows all field names. */
function closedPlaces(schema: AnySchema, value: unknown, path: string): readonly string[] {
  if (typeof value !== 'object' || value === null) return []
  switch (schema.kind) {
    case 'object': {
      const below = Object.entries(value).flatMap(([key, item]) => {
        const field = schema.fields[key]
        return field === undefined ? [] : closedPlaces(field, item, childPath(path, key))
      })
      return schema.isOpen ? below : [path, ...below]
    }
    case 'list':
      return (value as unknown[]).flatMap((item, index) =>
        closedPlaces(schema.item, item, itemPath(path, index)),
      )
    case 'map':
      return Object.entries(value).flatMap(([key, item]) =>
        closedPlaces(schema.value, item, childPath(path, key)),
      )
    default:
      return []
  }
}

test('an unknown field is reported with its exact path and line, wherever it is', () => {
  let places = 0
  for (const object of OBJECTS) {
    const { kind, apiVersion, spec } = object as { kind: string; apiVersion: string; spec?: Json }
    const definition = Object.values(KINDS).find(
      (one) => one.kind === kind && apiVersion.startsWith(one.group),
    )
    if (definition === undefined || definition.body === 'root') continue
    for (const place of closedPlaces(definition.schema, spec, 'spec')) {
      places++
      const text = insertField(object, place)
      const found = parseDocuments(text, { file: 'x' }).problems.filter(
        ({ code }) => code === 'unknown-field',
      )
      const expected = childPath(place, 'zzUnknown')
      const line = text.split('\n').findIndex((one) => one.includes('zzUnknown')) + 1
      assert.deepEqual(
        found.map((problem) => ({ path: problem.path, line: problem.line })),
        [{ path: expected, line }],
        `${kind} ${place}`,
      )
    }
  }
  assert.ok(places >= 100, `only ${places} places were tried`)
})

function insertField(object: Json, place: string): string {
  const copy = JSON.parse(JSON.stringify(object)) as Json
  let at = copy as Record<string, unknown>
  for (const segment of place.split(/[.[\]]+/).filter((one) => one !== '')) {
    at = at[segment.replaceAll('"', '')] as Record<string, unknown>
  }
  at.zzUnknown = 1
  return JSON.stringify(copy, null, 1)
}

test('validation says the same however often it is asked', () => {
  for (const object of OBJECTS) assert.deepEqual(problemsOf(object), problemsOf(object))
})

test('no pattern takes long on a text that it refuses', () => {
  const nasty = ['a', '-', 'a.', '!', '0s', '%4', 'a/', '* ', '(', '_'].flatMap((unit) => [
    unit.repeat(5000),
    `${unit.repeat(250 / unit.length)}\u0001`,
    `${unit.repeat(4000 / unit.length)}\u0001`,
  ])
  for (const object of OBJECTS) {
    const startMs = performance.now()
    for (const text of nasty) problemsOf(replaceTexts(object, text))
    const tookMs = performance.now() - startMs
    // Exponential or cubic matching takes minutes here; the machine may be busy.
    assert.ok(tookMs < 20_000, `${JSON.stringify(object).slice(0, 80)}: ${tookMs} ms`)
  }
})

/** Every text of the object but those that say what it is. */
function replaceTexts(value: Json, text: string, key = ''): Json {
  if (typeof value === 'string') return ['apiVersion', 'kind', 'type'].includes(key) ? value : text
  if (Array.isArray(value)) return value.map((item) => replaceTexts(item, text))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, replaceTexts(item, text, name)]),
  )
}

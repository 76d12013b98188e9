import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Environment } from '@marcbachmann/cel-js'
import { IDLE_FIELDS, IDLE_MESH_FIELDS } from '../acted-on.ts'
import { KINDS } from '../kinds/catalog.ts'
import { meshConfig } from '../kinds/mesh-config.ts'
import { holds } from './cel.ts'
import { checkSchema } from './check.ts'
import { type AnySchema, integer, list, map, object, required, string } from './schema.ts'
import { nearest } from './suggest.ts'

function schemasIn(schema: AnySchema): readonly AnySchema[] {
  switch (schema.kind) {
    case 'object':
      return [schema, ...Object.values(schema.fields).flatMap(schemasIn)]
    case 'list':
      return [schema, ...schemasIn(schema.item)]
    case 'map':
      return [schema, ...schemasIn(schema.value)]
    default:
      return [schema]
  }
}

test('every CEL rule of every kind parses and yields a boolean', () => {
  const environment = new Environment({
    unlistedVariablesAreDyn: true,
    homogeneousAggregateLiterals: false,
  }).registerVariable('self', 'dyn')
  const rules = Object.values(KINDS).flatMap(({ schema }) =>
    schemasIn(schema).flatMap((one) => one.rules),
  )
  assert.ok(rules.length > 100)
  for (const { cel } of rules) {
    const checked = environment.check(cel)
    assert.ok(checked.valid, `${cel}: ${checked.error?.message}`)
    assert.ok(['bool', 'dyn'].includes(checked.type ?? ''), cel)
  }
})

test('a rule that cannot be evaluated is not met', () => {
  assert.equal(holds('self.missing == 1', map(string()), {}), false)
  assert.equal(holds("duration(self) >= duration('1ms')", string(), '5'), false)
  assert.equal(holds('self + ', string(), 'x'), false)
  assert.equal(holds('"not a boolean"', string(), 'x'), false)
})

test('integers are compared as integers and reserved names are escaped', () => {
  assert.equal(holds('self > 1 && self <= 65535', integer(), 80), true)
  const named = object({ namespace: string() })
  assert.equal(holds("self.__namespace__ == 'a'", named, { namespace: 'a' }), true)
})

test('values that the schema refuses are not shown to its rules', () => {
  const schema = object({ a: required(list(integer({ min: 1 }), { maxItems: 1 })) })
  const { findings } = checkSchema(schema, { a: [0, 'x'], b: 1 }, 'spec')
  assert.deepEqual(
    findings.map(({ path, code }) => `${path} ${code}`),
    [
      'spec.a out-of-range',
      'spec.a[0] out-of-range',
      'spec.a[1] wrong-type',
      'spec.b unknown-field',
    ],
  )
})

test('a typo is answered with the nearest field', () => {
  const fields = ['route', 'redirect', 'rewrite', 'retries', 'timeout', 'mirrorPercentage']
  for (const [typo, field] of [
    ['ruote', 'route'],
    ['Timeout', 'timeout'],
    ['time_out', 'timeout'],
    ['retry', 'retries'],
    ['mirorPercentage', 'mirrorPercentage'],
    ['x', undefined],
    ['completelyDifferent', undefined],
  ] as const) {
    assert.equal(nearest(typo, fields), field, typo)
  }
})

test('every field in the table of idle fields exists in the schema of its kind', () => {
  for (const [type, fields] of Object.entries(IDLE_FIELDS)) {
    const { schema, body } = KINDS[type as keyof typeof KINDS]
    const root = body === 'spec' ? object({ spec: schema }) : schema
    for (const { field } of fields) assert.ok(hasField(root, field), `${type} ${field}`)
  }
  for (const { field } of IDLE_MESH_FIELDS) assert.ok(hasField(meshConfig, field), field)
})

function hasField(schema: AnySchema, field: string): boolean {
  let here: AnySchema | undefined = schema
  for (const part of field.split(/(?=\[\])|\./).filter((one) => one !== '')) {
    if (part === '[]') here = here?.kind === 'list' ? here.item : undefined
    else here = here?.kind === 'object' ? here.fields[part] : undefined
  }
  return here !== undefined
}

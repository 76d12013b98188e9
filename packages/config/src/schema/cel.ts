/**
 * Kubernetes' own validation rules, written in CEL in the published CRDs. The
 * library evaluates; this file gives it values the way the API server does:
 * integers as `int`, fields whose names CEL reserves as `__name__`, and an
 * expression that fails to evaluate counts as a rule that is not met.
 */

import { Environment } from '@marcbachmann/cel-js'
import type { AnySchema } from './schema.ts'

type Compiled = (context: { self: unknown }) => unknown

const environment = new Environment({
  unlistedVariablesAreDyn: true,
  homogeneousAggregateLiterals: false,
}).registerVariable('self', 'dyn')

const compiled = new Map<string, Compiled>()

/** Whether the value satisfies the rule. */
export function holds(rule: string, schema: AnySchema, value: unknown): boolean {
  try {
    return compile(rule)({ self: toCel(schema, value) }) === true
  } catch {
    return false
  }
}

function compile(rule: string): Compiled {
  let program = compiled.get(rule)
  if (program === undefined) {
    program = environment.parse(rule) as Compiled
    compiled.set(rule, program)
  }
  return program
}

/** Names that CEL keeps for itself; the API server escapes them like this. */
const RESERVED = new Set([
  'namespace',
  'in',
  'as',
  'import',
  'package',
  'const',
  'void',
  'function',
])

function toCel(schema: AnySchema, value: unknown): unknown {
  switch (schema.kind) {
    case 'integer':
      return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value
    case 'list':
      return Array.isArray(value) ? value.map((item) => toCel(schema.item, item)) : value
    case 'map':
      return mapEntries(value, (key, item) => [key, toCel(schema.value, item)])
    case 'object':
      return mapEntries(value, (key, item) => {
        const field = schema.fields[key]
        const name = RESERVED.has(key) ? `__${key}__` : key
        return field === undefined ? undefined : [name, toCel(field, item)]
      })
    default:
      return value
  }
}

function mapEntries(
  value: unknown,
  convert: (key: string, item: unknown) => [string, unknown] | undefined,
): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => {
      const entry = convert(key, item)
      return entry === undefined ? [] : [entry]
    }),
  )
}

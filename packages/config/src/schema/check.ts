/**
 * Holds a value against a schema: types, bounds, formats, unknown fields with
 * "did you mean", uniqueness of list keys, and the CEL rules; fills in defaults.
 * Everything wrong is reported, not only the first thing.
 */

import { childPath, itemPath } from '../text/places.ts'
import { holds } from './cel.ts'
import { checkFormat } from './formats.ts'
import type {
  AnySchema,
  ListNode,
  MapNode,
  Node,
  NumberNode,
  ObjectNode,
  OneOf,
  StringNode,
} from './schema.ts'
import { nearest } from './suggest.ts'

export interface SchemaFinding {
  readonly path: string
  readonly code: SchemaCode
  readonly message: string
  readonly suggestion?: string
}

type SchemaCode =
  | 'unknown-field'
  | 'missing-field'
  | 'wrong-type'
  | 'not-allowed'
  | 'out-of-range'
  | 'bad-format'
  | 'conflicting-fields'
  | 'duplicate'
  | 'crd-rule'

export interface Checked {
  /**
   * The value with defaults. It always has the schema's type: what has a wrong
   * type or is missing is stood in for by the emptiest value there is.
   */
  readonly value: unknown
  readonly findings: readonly SchemaFinding[]
  /** Paths of values that are stood in for. */
  readonly broken: readonly string[]
}

export function checkSchema(schema: AnySchema, value: unknown, path: string): Checked {
  const checker = new Checker()
  const result = checker.check(schema, value, path)
  return { value: result, findings: checker.findings, broken: checker.broken }
}

class Checker {
  readonly findings: SchemaFinding[] = []
  readonly broken: string[] = []

  check(schema: AnySchema, value: unknown, path: string): unknown {
    const known = this.findings.length
    const result = this.#checkKind(schema, value, path)
    // Rules are written for values that the schema accepts, so only those are asked.
    if (schema.rules.length > 0 && this.findings.length === known) {
      for (const { cel, message, field } of schema.rules) {
        if (holds(cel, schema, result)) continue
        this.#report(field === undefined ? path : childPath(path, field), 'crd-rule', message)
      }
    }
    return result
  }

  #checkKind(schema: AnySchema, value: unknown, path: string): unknown {
    switch (schema.kind) {
      case 'string':
        return this.#checkString(schema, value, path)
      case 'integer':
      case 'number':
        return this.#checkNumber(schema, value, path)
      case 'boolean':
        if (typeof value === 'boolean') return value
        return this.#wrongType(schema, path, 'true or false', value)
      case 'intOrString':
        if (typeof value === 'string' || Number.isInteger(value)) return value
        return this.#wrongType(schema, path, 'an integer or a text', value)
      case 'anything':
        return value
      case 'list':
        return this.#checkList(schema, value, path)
      case 'map':
        return this.#checkMap(schema, value, path)
      case 'object':
        return this.#checkObject(schema, value, path)
    }
  }

  #checkString(schema: StringNode, value: unknown, path: string): unknown {
    if (typeof value !== 'string') return this.#wrongType(schema, path, 'a text', value)
    const { values, minLength, maxLength, pattern, patternHint, format } = schema
    if (values !== undefined && !values.includes(value)) {
      const suggestion = nearest(value, values)
      this.#report(path, 'not-allowed', `must be one of ${renderList(values)}`, suggestion)
      return value
    }
    if (minLength !== undefined && value.length < minLength) {
      this.#report(path, 'out-of-range', `must have at least ${count(minLength, 'character')}`)
      return value
    }
    // Kubernetes counts code points. A text that is too long is not shown to the pattern at all.
    if (maxLength !== undefined && value.length > maxLength && [...value].length > maxLength) {
      const found = [...value].length
      this.#report(
        path,
        'out-of-range',
        `must have at most ${count(maxLength, 'character')}, got ${found}`,
      )
      return value
    }
    if (pattern !== undefined && !pattern.test(value)) {
      this.#report(path, 'bad-format', patternHint ?? `must match ${pattern.source}`)
    }
    const problem = format === undefined ? undefined : checkFormat(format, value)
    if (problem !== undefined) this.#report(path, 'bad-format', problem)
    return value
  }

  #checkNumber(schema: NumberNode, value: unknown, path: string): unknown {
    const isInteger = schema.kind === 'integer'
    if (typeof value !== 'number' || (isInteger && !Number.isInteger(value))) {
      return this.#wrongType(schema, path, isInteger ? 'an integer' : 'a number', value)
    }
    const { min = -Infinity, max = Infinity, values } = schema
    if (!Number.isFinite(value) || value < min || value > max) {
      this.#report(path, 'out-of-range', `must be ${renderRange(min, max)}, got ${value}`)
    }
    if (values !== undefined && !values.includes(value)) {
      this.#report(path, 'not-allowed', `must be one of ${values.join(', ')}`)
    }
    return value
  }

  #checkList(schema: ListNode, value: unknown, path: string): unknown {
    if (!Array.isArray(value)) return this.#wrongType(schema, path, 'a list', value)
    this.#checkCount(value.length, schema.minItems, schema.maxItems, path, 'item')
    const known = this.findings.length
    const result = value.map((item: unknown, index) =>
      this.check(schema.item, item, itemPath(path, index)),
    )
    if (this.findings.length === known) this.#checkUnique(schema, result, path)
    return result
  }

  #checkUnique(schema: ListNode, items: readonly unknown[], path: string): void {
    const { keys, isSet } = schema
    if (keys === undefined && isSet !== true) return
    const seen = new Map<string, number>()
    for (const [index, item] of items.entries()) {
      const identity = JSON.stringify(
        keys === undefined ? item : keys.map((key) => fieldOf(item, key)),
      )
      const first = seen.get(identity)
      if (first === undefined) {
        seen.set(identity, index)
        continue
      }
      const [key] = keys ?? []
      const at = itemPath(path, index)
      const what = keys === undefined ? 'the same value' : `the same ${keys.join(' and ')}`
      this.#report(
        key === undefined ? at : childPath(at, key),
        'duplicate',
        `has ${what} as ${itemPath(path, first)}; each may appear once`,
      )
    }
  }

  #checkMap(schema: MapNode, value: unknown, path: string): unknown {
    if (!isObject(value)) return this.#wrongType(schema, path, 'a map', value)
    const entries = Object.entries(value)
    this.#checkCount(entries.length, schema.minEntries, schema.maxEntries, path, 'entry')
    return Object.fromEntries(
      entries.map(([key, item]) => [key, this.check(schema.value, item, childPath(path, key))]),
    )
  }

  #checkCount(found: number, min = 0, max = Infinity, path = '', noun = 'item'): void {
    if (found >= min && found <= max) return
    const bound = found < min ? `at least ${count(min, noun)}` : `at most ${count(max, noun)}`
    this.#report(path, 'out-of-range', `must have ${bound}, got ${found}`)
  }

  #checkObject(schema: ObjectNode, value: unknown, path: string): unknown {
    if (!isObject(value)) return this.#wrongType(schema, path, 'an object', value)
    const entries: [string, unknown][] = []
    for (const [key, item] of Object.entries(value)) {
      const field = Object.hasOwn(schema.fields, key) ? schema.fields[key] : undefined
      if (field === undefined) {
        if (schema.isOpen) entries.push([key, item])
        else this.#unknownField(schema, value, key, path)
        continue
      }
      // As the API server does: it drops a null before it looks at the rest.
      if (item === null) continue
      entries.push([key, this.check(field, item, childPath(path, key))])
    }
    const result = Object.fromEntries(entries)
    for (const [key, field] of Object.entries(schema.fields)) {
      if (Object.hasOwn(result, key)) continue
      if (field.presence === 'required') {
        this.#missing(childPath(path, key), 'is required but missing')
        result[key] = placeholderOf(field)
      }
      if (field.presence === 'defaulted') result[key] = structuredClone(field.fallback)
    }
    for (const group of schema.oneOf) this.#checkOneOf(group, result, path)
    return result
  }

  #checkOneOf(group: OneOf, value: Record<string, unknown>, path: string): void {
    const set = group.fields.filter((field) => Object.hasOwn(value, field))
    const [, second] = set
    if (second === undefined) return
    this.#report(
      childPath(path, second),
      'conflicting-fields',
      `only one of ${renderList(group.fields)} may be set, got ${renderList(set)}; remove all but one`,
    )
  }

  #unknownField(schema: ObjectNode, value: object, key: string, path: string): void {
    const fields = Object.keys(schema.fields)
    const free = fields.filter((field) => !Object.hasOwn(value, field))
    const suggestion = nearest(key, free) ?? nearest(key, fields)
    const hint = suggestion === undefined ? 'remove it' : `did you mean "${suggestion}"?`
    this.#report(
      childPath(path, key),
      'unknown-field',
      `unknown field "${key}"; ${hint}`,
      suggestion,
    )
  }

  #missing(path: string, message: string): void {
    this.broken.push(path)
    this.#report(path, 'missing-field', message)
  }

  #wrongType(schema: Node, path: string, wanted: string, value: unknown): unknown {
    this.broken.push(path)
    const quote =
      wanted === 'a text' && (typeof value === 'number' || typeof value === 'boolean')
        ? `; put it in quotes: "${value}"`
        : ''
    this.#report(path, 'wrong-type', `must be ${wanted}, got ${renderKind(value)}${quote}`)
    return placeholderOf(schema)
  }

  #report(path: string, code: SchemaCode, message: string, suggestion?: string): void {
    this.findings.push(
      suggestion === undefined ? { path, code, message } : { path, code, message, suggestion },
    )
  }
}

/** The emptiest value of a type. */
function placeholderOf(schema: Node): unknown {
  switch (schema.kind) {
    case 'string':
    case 'intOrString':
      return ''
    case 'integer':
    case 'number':
      return 0
    case 'boolean':
      return false
    case 'anything':
      return undefined
    case 'list':
      return []
    case 'map':
      return {}
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.fields)
          .filter(([, field]) => field.presence !== 'optional')
          .map(([key, field]) => [
            key,
            field.presence === 'defaulted' ? structuredClone(field.fallback) : placeholderOf(field),
          ]),
      )
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function fieldOf(item: unknown, key: string): unknown {
  return isObject(item) ? (item[key] ?? null) : null
}

function renderKind(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  if (typeof value === 'string') return `the text "${shorten(value)}"`
  return String(value)
}

function shorten(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`
}

function renderList(values: readonly string[]): string {
  return values.join(', ')
}

function renderRange(min: number, max: number): string {
  if (max === Infinity) return `at least ${min}`
  return min === -Infinity ? `at most ${max}` : `between ${min} and ${max}`
}

function count(amount: number, noun: string): string {
  if (amount === 1) return `1 ${noun}`
  return `${amount} ${noun === 'entry' ? 'entries' : `${noun}s`}`
}

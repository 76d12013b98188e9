/**
 * The little language in which every configuration kind is written down once.
 * From a schema come the TypeScript type (`Infer`), parsing, defaults, the walk
 * for unknown fields, and the reference documentation.
 *
 * A schema says what one object may look like. What a field means together with
 * others is a rule: Kubernetes' own CEL text in `rules`, or code in `kinds/*`.
 */

import type { FormatName } from './formats.ts'

declare const type: unique symbol

/** Whether a field must be written, may be, or is filled in by us. */
export type Presence = 'required' | 'optional' | 'defaulted'

/** One CEL rule of a published CRD: `self` is the value that carries it. */
export interface CelRule {
  readonly cel: string
  readonly message: string
  /** The field to name when the rule is not met, where one field is at fault. */
  readonly field?: string
}

interface Common<T, P extends Presence> {
  /** Only for the compiler: the type of a parsed value. */
  readonly [type]?: T
  readonly presence: P
  readonly rules: readonly CelRule[]
  /** One line for the reference documentation. */
  readonly doc?: string
  /** Filled in where the field is missing; only with presence `defaulted`. */
  readonly fallback?: unknown
}

export type Node =
  | StringNode
  | NumberNode
  | { readonly kind: 'boolean' }
  /** `8080` or `"http"`. */
  | { readonly kind: 'intOrString' }
  /** Kept as written: the schema does not look inside. */
  | { readonly kind: 'anything' }
  | ListNode
  | MapNode
  | ObjectNode

export interface StringNode {
  readonly kind: 'string'
  readonly minLength?: number
  readonly maxLength?: number
  /** Linear in the text's length, or the text is bounded by `maxLength`. */
  readonly pattern?: RegExp
  /** The pattern in words, for messages. */
  readonly patternHint?: string
  readonly values?: readonly string[]
  readonly format?: FormatName
}

export interface NumberNode {
  readonly kind: 'integer' | 'number'
  readonly min?: number
  readonly max?: number
  readonly values?: readonly number[]
}

export interface ListNode {
  readonly kind: 'list'
  readonly item: AnySchema
  readonly minItems?: number
  readonly maxItems?: number
  /** `listType: map`: no two items have the same values in these fields. */
  readonly keys?: readonly string[]
  /** `listType: set`: no two items are equal. */
  readonly isSet?: boolean
}

export interface MapNode {
  readonly kind: 'map'
  readonly value: AnySchema
  readonly minEntries?: number
  readonly maxEntries?: number
}

export interface ObjectNode {
  readonly kind: 'object'
  readonly fields: Fields
  /** In each group at most one field is set. */
  readonly oneOf: readonly OneOf[]
  /** Unknown fields are kept and not reported (parts of core kinds that the mesh does not read). */
  readonly isOpen: boolean
}

export interface OneOf {
  readonly fields: readonly string[]
}

export type Schema<T, P extends Presence = 'optional'> = Node & Common<T, P>
export type AnySchema = Schema<unknown, Presence>
export type Fields = Readonly<Record<string, AnySchema>>

/** The TypeScript type of a value that the schema accepted. */
export type Infer<S> = S extends { readonly [type]?: infer T } ? Exclude<T, undefined> : never

type PresentKeys<F extends Fields> = {
  [K in keyof F]: F[K] extends { readonly presence: 'required' | 'defaulted' } ? K : never
}[keyof F]

export type ObjectOf<F extends Fields> = {
  readonly [K in PresentKeys<F>]: Infer<F[K]>
} & {
  readonly [K in Exclude<keyof F, PresentKeys<F>>]?: Infer<F[K]>
} extends infer O
  ? { readonly [K in keyof O]: O[K] }
  : never

export function string(options: Omit<StringNode, 'kind' | 'values'> = {}): Schema<string> {
  return { ...bare, kind: 'string', ...options }
}

export function oneOfValues<const V extends readonly string[]>(...values: V): Schema<V[number]> {
  return { ...bare, kind: 'string', values }
}

/** An `int32` when nothing else is said. */
export function integer(options: Omit<NumberNode, 'kind'> = INT32): Schema<number> {
  return { ...bare, kind: 'integer', ...options }
}

const INT32 = { min: -2_147_483_648, max: 2_147_483_647 }

export function number(options: Omit<NumberNode, 'kind'> = {}): Schema<number> {
  return { ...bare, kind: 'number', ...options }
}

export function boolean(): Schema<boolean> {
  return { ...bare, kind: 'boolean' }
}

export function intOrString(): Schema<number | string> {
  return { ...bare, kind: 'intOrString' }
}

export function anything(): Schema<unknown> {
  return { ...bare, kind: 'anything' }
}

export function list<T>(
  item: Schema<T, Presence>,
  options: Omit<ListNode, 'kind' | 'item'> = {},
): Schema<readonly T[]> {
  return { ...bare, kind: 'list', item, ...options }
}

export function map<T>(
  value: Schema<T, Presence>,
  options: Omit<MapNode, 'kind' | 'value'> = {},
): Schema<Readonly<Record<string, T>>> {
  return { ...bare, kind: 'map', value, ...options }
}

export function object<F extends Fields>(
  fields: F,
  options: { readonly oneOf?: readonly OneOf[]; readonly isOpen?: boolean } = {},
): Schema<ObjectOf<F>> {
  const { oneOf = [], isOpen = false } = options
  return { ...bare, kind: 'object', fields, oneOf, isOpen }
}

export function required<T>(schema: Schema<T, Presence>): Schema<T, 'required'> {
  return { ...schema, presence: 'required' }
}

export function defaulted<T>(
  schema: Schema<T, Presence>,
  fallback: NoInfer<T>,
): Schema<T, 'defaulted'> {
  return { ...schema, presence: 'defaulted', fallback }
}

/** The same schema with CEL rules, as pairs of expression and message. */
export function withRules<T, P extends Presence>(
  schema: Schema<T, P>,
  ...rules: readonly CelRule[]
): Schema<T, P> {
  return { ...schema, rules: [...schema.rules, ...rules] }
}

export function atMostOne(...fields: string[]): OneOf {
  return { fields }
}

const bare = { presence: 'optional', rules: [] } as const

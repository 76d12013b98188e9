/**
 * Header changes of a route as one flat list, ready to run from front to back:
 * Envoy's order of levels (target, route, virtual host) and, inside a level,
 * remove, then set, then add.
 *
 * Fields that frame the message are refused: who may change `content-length` or
 * `transfer-encoding` can hide a request inside another.
 */
import type { HeaderChanges, HeaderValue } from '@weft/model'
import { ConfigError } from '../config-error.ts'
import { compileTemplate, type HeaderTemplate } from './template.ts'

export type HeaderOp =
  | { readonly kind: 'remove'; readonly name: string }
  /** `set` replaces all values of `name`; `add` appends one more. Names are lower case. */
  | { readonly kind: 'set' | 'add'; readonly name: string; readonly value: HeaderTemplate }

export const NO_HEADER_OPS: readonly HeaderOp[] = []

/**
 * @param levels Most specific first.
 * @param where For errors.
 * @throws {ConfigError} On names that are no field names or not to be changed,
 * and on bad `%…%` substitutions.
 */
export function compileHeaderOps(
  levels: readonly HeaderChanges[],
  direction: 'request' | 'response',
  where: string,
): readonly HeaderOp[] {
  const inside = `${where}, ${direction} headers`
  const ops = levels.flatMap((level) => compileLevel(level, direction, inside))
  return ops.length === 0 ? NO_HEADER_OPS : ops
}

/**
 * The host that a `set` of `host` or `:authority` asks for; the most specific
 * level wins. It is a host rewrite and not among the header operations.
 */
export function hostFromHeaders(levels: readonly HeaderChanges[]): string | undefined {
  for (const level of levels) {
    const value = level.set.find(({ name }) => isHost(name.toLowerCase()))
    if (value !== undefined) return value.value
  }
  return undefined
}

function compileLevel(
  changes: HeaderChanges,
  direction: 'request' | 'response',
  where: string,
): HeaderOp[] {
  const ops: HeaderOp[] = []
  for (const name of changes.remove) {
    ops.push({ kind: 'remove', name: checkName(name, where) })
  }
  for (const change of changes.set) {
    if (direction === 'request' && isHost(change.name.toLowerCase())) continue
    ops.push(compileValue('set', change, where))
  }
  for (const change of changes.add) ops.push(compileValue('add', change, where))
  return ops
}

function compileValue(kind: 'set' | 'add', { name, value }: HeaderValue, where: string): HeaderOp {
  const lower = checkName(name, where)
  return { kind, name: lower, value: compileTemplate(value, `${where}, "${lower}"`) }
}

/** RFC 9110, section 5.6.2. */
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

const FRAMING = new Set(['content-length', 'transfer-encoding'])

function checkName(name: string, where: string): string {
  const lower = name.toLowerCase()
  if (!FIELD_NAME.test(name)) {
    throw new ConfigError(where, `Cannot change a header: need a field name, got "${name}"`)
  }
  if (FRAMING.has(lower) || isHost(lower)) {
    throw new ConfigError(where, `Cannot change a header: need one other than "${lower}"`)
  }
  return lower
}

function isHost(name: string): boolean {
  return name === 'host' || name === ':authority'
}

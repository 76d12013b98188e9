/**
 * Header changes of a route as one flat list, ready to run from front to back:
 * Envoy's order of levels (target, route, virtual host) and, inside a level,
 * remove, then set, then add.
 */
import type { HeaderChanges } from '@weft/model'
import { ConfigError } from '../config-error.ts'
import { compileTemplate, type HeaderTemplate } from './template.ts'

export type HeaderOp =
  | { readonly kind: 'remove'; readonly name: string }
  /** `set` replaces all values of `name`; `add` appends one more. Names are lower case. */
  | { readonly kind: 'set' | 'add'; readonly name: string; readonly value: HeaderTemplate }

export const NO_HEADER_OPS: readonly HeaderOp[] = []

/**
 * @param levels Most specific first; absent levels are skipped.
 * @param where For the error of a bad `%…%` substitution.
 * @throws {ConfigError}
 */
export function compileHeaderOps(
  levels: readonly HeaderChanges[],
  where: string,
): readonly HeaderOp[] {
  const ops = levels.flatMap((level) => compileLevel(level, where))
  return ops.length === 0 ? NO_HEADER_OPS : ops
}

function compileLevel(changes: HeaderChanges, where: string): HeaderOp[] {
  return [
    ...changes.remove.map((name): HeaderOp => ({ kind: 'remove', name: checkName(name, where) })),
    ...changes.set.map(
      ({ name, value }): HeaderOp => ({
        kind: 'set',
        name: checkName(name, where),
        value: compileTemplate(value, `${where}, header "${name}"`),
      }),
    ),
    ...changes.add.map(
      ({ name, value }): HeaderOp => ({
        kind: 'add',
        name: checkName(name, where),
        value: compileTemplate(value, `${where}, header "${name}"`),
      }),
    ),
  ]
}

/** RFC 9110, section 5.6.2, plus the pseudo headers that Envoy lets routes set. */
const FIELD_NAME = /^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

function checkName(name: string, where: string): string {
  if (!FIELD_NAME.test(name)) {
    throw new ConfigError(where, `Cannot change a header: need a field name, got "${name}"`)
  }
  return name.toLowerCase()
}

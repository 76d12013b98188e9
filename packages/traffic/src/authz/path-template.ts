/**
 * Paths with holes (Envoy `uri_template`, Istio `paths`): `{*}` is one segment, `{**}` any number
 * of them, empty ones included; nothing with a hole may follow `{**}`.
 */
import { ConfigError } from '../config-error.ts'

const HOLE = /\{[^{}]*\}/g
const SPECIAL = /[.*+?^$()|[\]\\{}]/g

/**
 * The RE2 pattern of a template, for whole paths.
 * @throws {ConfigError} Naming `where`.
 */
export function templatePattern(template: string, where: string): string {
  if (!template.startsWith('/')) {
    throw new ConfigError(where, `Cannot use path template: must begin with /, got "${template}"`)
  }
  let pattern = ''
  let at = 0
  let isOpen = true
  for (const { 0: hole, index } of template.matchAll(HOLE)) {
    pattern += literal(template.slice(at, index), template, where)
    at = index + hole.length
    const isWhole = template[index - 1] === '/' && (at === template.length || template[at] === '/')
    if ((hole !== '{*}' && hole !== '{**}') || !isWhole) {
      const what = `Cannot use path template: holes are {*} or {**} and a whole segment, got "${hole}"`
      throw new ConfigError(where, `${what} in "${template}"`)
    }
    if (!isOpen) {
      throw new ConfigError(
        where,
        `Cannot use path template: {**} must be its last hole: "${template}"`,
      )
    }
    isOpen = hole === '{*}'
    pattern += isOpen ? '[^/]+' : '.*'
  }
  return pattern + literal(template.slice(at), template, where)
}

function literal(text: string, template: string, where: string): string {
  if (/[{}*]/.test(text)) {
    const what = 'Cannot use path template: braces and stars stand in {*} and {**} only'
    throw new ConfigError(where, `${what}, got "${template}"`)
  }
  return text.replace(SPECIAL, '\\$&')
}

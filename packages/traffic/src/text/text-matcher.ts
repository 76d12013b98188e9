/**
 * One predicate on a text, compiled. All kinds are one class with the same
 * fields, so that a list of mixed predicates stays monomorphic for the optimiser.
 */

import { unreachable } from '@weft/base'
import type { StringMatch } from '@weft/model'
import type { RE2JS } from 're2js'
import { hasAt } from './has-at.ts'
import { checkLength, compileRegex, type RegexShape, regexShape, shapeMatches } from './regex.ts'

const EXACT = 0
const PREFIX = 1
const SEGMENTS = 2
const SUFFIX = 3
const CONTAINS = 4
const SHAPE = 5
const REGEX = 6

/** `segments`: the whole text, or the text up to a `/` (Gateway API `PathPrefix`). */
export type TextMatch =
  | StringMatch
  | { readonly kind: 'segments'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly value: string; readonly ignoreCase: boolean }

export class TextMatcher {
  readonly #kind: number
  readonly #value: string
  /** `#value` is ASCII lower case then. */
  readonly #ignoreCase: boolean
  readonly #shape: RegexShape | undefined
  readonly #regex: RE2JS | undefined

  /** @throws {ConfigError} On a bad regex, naming `where`. */
  constructor(match: TextMatch, where: string) {
    const ignoreCase = 'ignoreCase' in match && match.ignoreCase
    let kind = kindOf(match)
    let value = match.value
    let shape: RegexShape | undefined
    let regex: RE2JS | undefined
    if (kind === SEGMENTS && value.endsWith('/')) value = value.slice(0, -1)
    if (kind === REGEX) {
      checkLength(value, where)
      // Whatever has a shape is a valid pattern: RE2 need not be asked, nor loaded.
      shape = ignoreCase ? undefined : regexShape(value)
      if (shape === undefined) regex = compileRegex(value, ignoreCase, where)
      const only = shape === undefined ? undefined : onlyLiteral(shape)
      if (only !== undefined) {
        kind = EXACT
        value = only
      } else if (shape !== undefined) {
        kind = SHAPE
      }
    }
    this.#kind = kind
    this.#value = ignoreCase && kind !== REGEX ? asciiLower(value) : value
    this.#ignoreCase = ignoreCase
    this.#shape = shape
    this.#regex = regex
  }

  matches(text: string): boolean {
    const value = this.#value
    if (this.#ignoreCase && this.#kind !== REGEX) return this.#matchesFolded(text)
    switch (this.#kind) {
      case EXACT:
        return text === value
      case PREFIX:
        return hasAt(text, 0, value)
      case SEGMENTS:
        return hasAt(text, 0, value) && endsSegment(text, value.length)
      case SUFFIX:
        return text.endsWith(value)
      case CONTAINS:
        return text.includes(value)
      case SHAPE:
        return this.#shape !== undefined && shapeMatches(this.#shape, text)
      default:
        return this.#regex?.testExact(text) ?? false
    }
  }

  #matchesFolded(text: string): boolean {
    const value = this.#value
    switch (this.#kind) {
      case EXACT:
        return text.length === value.length && hasFoldedAt(text, 0, value)
      case PREFIX:
        return hasFoldedAt(text, 0, value)
      case SEGMENTS:
        return hasFoldedAt(text, 0, value) && endsSegment(text, value.length)
      case SUFFIX:
        return hasFoldedAt(text, text.length - value.length, value)
      default:
        return asciiLower(text).includes(value)
    }
  }
}

/** Header values and paths are ASCII; folding more could change lengths. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (upper) => upper.toLowerCase())
}

/** Whether `lower`, which is lower case, stands at `from` in whatever case. Allocates nothing. */
function hasFoldedAt(text: string, from: number, lower: string): boolean {
  if (from < 0 || from + lower.length > text.length) return false
  for (let i = 0; i < lower.length; i++) {
    const code = text.charCodeAt(from + i)
    const folded = code >= 65 && code <= 90 ? code + 32 : code
    if (folded !== lower.charCodeAt(i)) return false
  }
  return true
}

function endsSegment(text: string, at: number): boolean {
  return at === text.length || text.charCodeAt(at) === 0x2f
}

function onlyLiteral(shape: RegexShape): string | undefined {
  if (shape.tail !== 'end' || shape.steps.length > 1) return undefined
  return shape.steps.length === 0 ? '' : shape.steps[0]
}

function kindOf(match: TextMatch): number {
  switch (match.kind) {
    case 'exact':
      return EXACT
    case 'prefix':
      return PREFIX
    case 'segments':
      return SEGMENTS
    case 'suffix':
      return SUFFIX
    case 'contains':
      return CONTAINS
    case 'regex':
      return REGEX
    default:
      return unreachable(match)
  }
}

/** Compiled once. @param what For the error. @throws {ConfigError} On a bad regex. */
export function matchText(match: StringMatch, what: string): (text: string) => boolean {
  const matcher = new TextMatcher(match, what)
  return (text) => matcher.matches(text)
}

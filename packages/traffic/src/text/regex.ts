/**
 * Regular expressions that people write in routes. The engine is RE2's automaton
 * (re2js): linear in the input, so no pattern can stall a proxy. JavaScript's own
 * `RegExp` backtracks and is never given a user's pattern.
 *
 * RE2 costs some 700 ns a match, and most patterns in the wild are a literal with
 * `.*` or `[^/]+`. `regexShape` recognises those and they run as plain text
 * comparisons, with the same answers (checked against RE2 by a property test).
 *
 * RE2 is 260 KB of code, and most proxies are told no pattern that needs it: it is
 * loaded by the first one that does.
 */
import { createRequire } from 'node:module'
import type { RE2JS } from 're2js'
import { ConfigError } from '../config-error.ts'
import { hasAt } from './has-at.ts'

/** Longest pattern that is accepted, in UTF-16 code units. */
export const MAX_PATTERN_LENGTH = 4_096

/**
 * Largest compiled program, in RE2 instructions: bounds the work per byte of
 * input. A hundred alternatives of a host name need about 2,000.
 */
const MAX_PROGRAM_SIZE = 10_000

const require = createRequire(import.meta.url)

/** @throws {ConfigError} When it is no RE2 pattern, or too large. */
export function compileRegex(pattern: string, ignoreCase: boolean, where: string): RE2JS {
  checkLength(pattern, where)
  const regex = parse(pattern, ignoreCase, where)
  const size = regex.programSize()
  if (size > MAX_PROGRAM_SIZE) {
    throw new ConfigError(
      where,
      `Cannot use a regex: need at most ${MAX_PROGRAM_SIZE} RE2 instructions, got ${size} for "${pattern}"`,
    )
  }
  return regex
}

/** @throws {ConfigError} Before it is looked at: what is too long is refused, whatever it says. */
export function checkLength(pattern: string, where: string): void {
  if (pattern.length <= MAX_PATTERN_LENGTH) return
  throw new ConfigError(
    where,
    `Cannot use a regex: need at most ${MAX_PATTERN_LENGTH} characters, got ${pattern.length}`,
  )
}

function parse(pattern: string, ignoreCase: boolean, where: string): RE2JS {
  const { RE2JS }: typeof import('re2js') = require('re2js')
  try {
    return RE2JS.compile(pattern, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError(
      where,
      `Cannot use a regex: need RE2 syntax, got "${pattern}" (${reason})`,
      { cause },
    )
  }
}

/**
 * A pattern as a row of steps that can be walked without going back:
 * a literal, or `[^/]+` (`segment`), which must end at the next literal's `/`
 * or at the end of the text; and what may follow the last step.
 */
export interface RegexShape {
  /** `undefined` stands for `[^/]+`. */
  readonly steps: readonly (string | undefined)[]
  /** `any` is `.*`, `some` is `.+`: neither crosses a line feed. */
  readonly tail: 'end' | 'any' | 'some'
}

/**
 * One token of a pattern that has a shape; whatever is left over needs the automaton. RE2
 * accepts a backslash before ASCII punctuation only, and whatever has a shape it must accept.
 */
const TOKEN =
  /(?<segment>\[\^\/\]\+)|(?<tail>\.[*+]$)|\\(?<escaped>[!-/:-@[-`{-~])|(?<plain>[^\\.+*?()|[\]{}^$])/y

/**
 * The shape of a pattern that must match a whole text, or `undefined` when it
 * needs the automaton.
 */
export function regexShape(pattern: string): RegexShape | undefined {
  const tokens = tokenize(trimAnchors(pattern))
  if (tokens === undefined) return undefined
  const steps: (string | undefined)[] = []
  let tail: RegexShape['tail'] = 'end'
  for (const token of tokens) {
    // After `[^/]+` only a slash says where it ends; anything else could begin inside it.
    const open = steps.length > 0 && steps.at(-1) === undefined
    if (token.kind === 'literal') {
      if (open && token.text !== '/') return undefined
      if (open || steps.length === 0) steps.push(token.text)
      else steps[steps.length - 1] = `${steps.at(-1)}${token.text}`
      continue
    }
    if (open) return undefined
    if (token.kind === 'segment') steps.push(undefined)
    else tail = token.text === '.*' ? 'any' : 'some'
  }
  return { steps, tail }
}

interface Token {
  readonly kind: 'literal' | 'segment' | 'tail'
  readonly text: string
}

function tokenize(text: string): readonly Token[] | undefined {
  const tokens: Token[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const groups = TOKEN.exec(text)?.groups
    if (groups === undefined) return undefined
    const literal = groups.escaped ?? groups.plain
    if (literal !== undefined) tokens.push({ kind: 'literal', text: literal })
    else if (groups.segment !== undefined) tokens.push({ kind: 'segment', text: groups.segment })
    else tokens.push({ kind: 'tail', text: groups.tail ?? '' })
  }
  return tokens
}

/** `^` and `$` say nothing where the whole text must match; an escaped `\$` stays. */
function trimAnchors(pattern: string): string {
  const text = pattern.startsWith('^') ? pattern.slice(1) : pattern
  return text.endsWith('$') && !text.endsWith('\\$') ? text.slice(0, -1) : text
}

export function shapeMatches(shape: RegexShape, text: string): boolean {
  let at = 0
  for (const step of shape.steps) {
    if (step === undefined) {
      const slash = text.indexOf('/', at)
      const end = slash < 0 ? text.length : slash
      if (end === at) return false
      at = end
    } else {
      if (!hasAt(text, at, step)) return false
      at += step.length
    }
  }
  if (shape.tail === 'end') return at === text.length
  if (shape.tail === 'some' && at === text.length) return false
  return text.indexOf('\n', at) < 0
}

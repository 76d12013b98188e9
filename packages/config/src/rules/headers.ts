/** Names and values of headers that rules match, set, add and remove. */

import type { HeaderOperations, RouteDestination } from '../kinds/virtual-service.ts'
import { childPath, itemPath } from '../text/places.ts'
import type { Findings } from './rules.ts'

const TOKEN = /^[!#$%&'*+\-.^_`|~A-Za-z0-9]+$/
const PSEUDO = new Set([':method', ':scheme', ':authority', ':path', ':status'])

export function isHeaderName(name: string): boolean {
  return TOKEN.test(name)
}

/** `@request.auth.claims.group` or `@request.auth.claims[group]`: routing by a claim of the token. */
export function isClaimHeader(name: string): boolean {
  return /^@request\.auth\.claims(\..+|\[.+\])$/is.test(name)
}

export function matchedHeaderProblem(name: string): string | undefined {
  if (name === '') return 'a header name must not be empty'
  if (isClaimHeader(name) || PSEUDO.has(name) || isHeaderName(name)) return undefined
  return `"${name}" is not a header name; use letters, digits and hyphens`
}

export function isAuthorityHeader(name: string): boolean {
  const lower = name.toLowerCase()
  return lower === ':authority' || lower === 'host'
}

type Headers = NonNullable<RouteDestination['headers']>

/** `headers` of a route or of one of its destinations. */
export function checkHeaderChanges(
  headers: Headers | undefined,
  path: string,
  findings: Findings,
): void {
  if (headers === undefined) return
  checkOperations(headers.request, childPath(path, 'request'), true, findings)
  checkOperations(headers.response, childPath(path, 'response'), false, findings)
}

function checkOperations(
  operations: HeaderOperations | undefined,
  path: string,
  isRequest: boolean,
  findings: Findings,
): void {
  if (operations === undefined) return
  for (const verb of ['set', 'add'] as const) {
    for (const [name, value] of Object.entries(operations[verb] ?? {})) {
      const at = childPath(childPath(path, verb), name)
      const mayBeAuthority = isRequest && isAuthorityHeader(name)
      const problem =
        (mayBeAuthority ? undefined : changedHeaderProblem(name)) ?? headerValueProblem(value)
      if (problem !== undefined) findings.error(at, 'bad-header', problem)
    }
  }
  for (const [index, name] of (operations.remove ?? []).entries()) {
    const problem = changedHeaderProblem(name)
    const at = itemPath(childPath(path, 'remove'), index)
    if (problem !== undefined) findings.error(at, 'bad-header', problem)
  }
}

function changedHeaderProblem(name: string): string | undefined {
  if (name === '') return 'a header name must not be empty'
  if (name.startsWith(':'))
    return `"${name}" belongs to the request line and cannot be changed here`
  if (name.toLowerCase() === 'host') {
    return 'the Host header cannot be changed here; use rewrite.authority or headers.request.set'
  }
  return undefined
}

/** Envoy's format strings: `%NAME%`, `%NAME(arguments)%`, and `%%` for a percent sign. */
function headerValueProblem(value: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused.
  if (/[\u0000-\u0008\u000A-\u001F\u007F]/.test(value)) {
    return 'a header value must not hold control characters'
  }
  for (let at = value.indexOf('%'); at !== -1; at = value.indexOf('%', at)) {
    if (value[at + 1] === '%') {
      at += 2
      continue
    }
    const end = endOfVariable(value, at + 1)
    if (end === -1) return `"${value}" has a single "%"; write "%%" for a percent sign, or %NAME%`
    at = end + 1
  }
  return undefined
}

type VariableState = 'name' | 'arguments' | 'text' | 'element' | 'delimiter' | 'close' | 'end'

/** Index of the `%` that ends a variable begun before `at`, or -1. */
function endOfVariable(value: string, at: number): number {
  let state: VariableState = 'name'
  for (let index = at; index < value.length; index++) {
    const char = value[index] ?? ''
    if (state === 'name' && char === '%') return index
    if (state === 'end' && char === '%') return index
    if (state === 'text' && char === '\\') {
      if (index + 1 >= value.length) return -1
      index++
      continue
    }
    const next = STEPS[state](char)
    if (next === undefined) return -1
    state = next
  }
  return -1
}

const STEPS: Readonly<Record<VariableState, (char: string) => VariableState | undefined>> = {
  name: (char) => (char === '(' ? 'arguments' : 'name'),
  arguments: (char) => {
    if (char === '[') return 'element'
    return char === ' ' ? 'arguments' : 'text'
  },
  element: (char) => {
    if (char === '"') return 'text'
    return char === ' ' ? 'element' : undefined
  },
  text: (char) => {
    if (char === ')') return 'end'
    return char === '"' ? 'delimiter' : 'text'
  },
  delimiter: (char) => {
    if (char === ',') return 'element'
    if (char === ']') return 'close'
    return char === ' ' ? 'delimiter' : undefined
  },
  close: (char) => {
    if (char === ')') return 'end'
    return char === ' ' ? 'close' : undefined
  },
  end: (char) => (char === ' ' ? 'end' : undefined),
}

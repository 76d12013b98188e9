/** Times of a log line by a `strftime` pattern, with Envoy's `%3f` for fractions. In UTC. */

/** Of a second: the only part that changes within one. */
interface Fraction {
  readonly write: (epochMs: number) => string
}

type Part = string | ((at: Date, epochMs: number) => string) | Fraction

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September'],
  ...['October', 'November', 'December'],
]
const DAY_MS = 86_400_000

function padded(value: number, digits = 2): string {
  return String(value).padStart(digits, '0')
}

const hour12 = (at: Date): number => at.getUTCHours() % 12 || 12

const SPECIFIERS: Readonly<Record<string, (at: Date, epochMs: number) => string>> = {
  Y: (at) => String(at.getUTCFullYear()),
  y: (at) => padded(at.getUTCFullYear() % 100),
  m: (at) => padded(at.getUTCMonth() + 1),
  d: (at) => padded(at.getUTCDate()),
  e: (at) => String(at.getUTCDate()).padStart(2, ' '),
  H: (at) => padded(at.getUTCHours()),
  I: (at) => padded(hour12(at)),
  M: (at) => padded(at.getUTCMinutes()),
  S: (at) => padded(at.getUTCSeconds()),
  p: (at) => (at.getUTCHours() < 12 ? 'AM' : 'PM'),
  s: (_at, epochMs) => String(Math.floor(epochMs / 1_000)),
  a: (at) => DAYS[at.getUTCDay()]?.slice(0, 3) ?? '',
  A: (at) => DAYS[at.getUTCDay()] ?? '',
  b: (at) => MONTHS[at.getUTCMonth()]?.slice(0, 3) ?? '',
  B: (at) => MONTHS[at.getUTCMonth()] ?? '',
  j: (at) =>
    padded(1 + Math.floor((at.getTime() - Date.UTC(at.getUTCFullYear(), 0, 1)) / DAY_MS), 3),
  u: (at) => String(at.getUTCDay() || 7),
  w: (at) => String(at.getUTCDay()),
  z: () => '+0000',
  Z: () => 'UTC',
  n: () => '\n',
  t: () => '\t',
  '%': () => '%',
}

const THOUSANDTHS = Array.from({ length: 1_000 }, (_, ms) => padded(ms, 3))

const MILLISECONDS = {
  digits: 3,
  write: (epochMs: number) => THOUSANDTHS[Math.floor(epochMs % 1_000)] ?? '000',
}

/** Patterns that stand for others. */
const COMPOSED: Readonly<Record<string, string>> = {
  F: '%Y-%m-%d',
  T: '%H:%M:%S',
  R: '%H:%M',
  D: '%m/%d/%y',
  c: '%a %b %e %H:%M:%S %Y',
}

export const ISO_PATTERN = '%Y-%m-%dT%H:%M:%S.%3fZ'

/** @returns What writes the time, or the first specifier that is not known. */
export function compileTime(
  pattern: string,
): ((epochMs: number) => string) | { readonly unknown: string } {
  const parts: Part[] = []
  for (const [piece, digits, letter] of pattern.matchAll(/%(\d?)([A-Za-z%])|%|[^%]+/g)) {
    if (letter === undefined) {
      if (piece === '%') return { unknown: '%' }
      parts.push(piece)
      continue
    }
    const part = specifier(digits ?? '', letter)
    if (part === undefined) return { unknown: piece }
    parts.push(part)
  }
  return oncePerSecond(parts)
}

/**
 * All but fractions is the same for every line of a second and is put together once in it, and
 * a busy proxy writes many lines in a millisecond (measured: a tenth of a request with a log).
 */
function oncePerSecond(parts: readonly Part[]): (epochMs: number) => string {
  const isFine = parts.some((part) => typeof part === 'object' && part !== MILLISECONDS)
  let second = Number.NaN
  let ready: (string | Fraction)[] = []
  let millisecond = Number.NaN
  let text = ''
  return (epochMs) => {
    const nowMs = isFine ? epochMs : Math.floor(epochMs)
    if (nowMs === millisecond) return text
    const now = Math.floor(epochMs / 1_000)
    if (now !== second) {
      second = now
      ready = joined(parts, epochMs)
    }
    text = ''
    for (const part of ready) text += typeof part === 'string' ? part : part.write(epochMs)
    millisecond = nowMs
    return text
  }
}

function joined(parts: readonly Part[], epochMs: number): (string | Fraction)[] {
  const at = new Date(epochMs)
  const ready: (string | Fraction)[] = []
  let text = ''
  for (const part of parts) {
    if (typeof part === 'string') text += part
    else if (typeof part === 'function') text += part(at, epochMs)
    else {
      ready.push(text, part)
      text = ''
    }
  }
  return [...ready, text].filter((part) => part !== '')
}

function specifier(digits: string, letter: string): Part | undefined {
  if (letter === 'f') {
    const count = digits === '' ? 9 : Number(digits)
    if (count === 0) return undefined
    if (count === MILLISECONDS.digits) return MILLISECONDS
    // Clocks here know milliseconds and their fractions; what is beyond reads as zeros.
    return {
      write: (epochMs) => padded(Math.floor((epochMs % 1_000) * 1e6), 9).slice(0, count),
    }
  }
  if (digits !== '') return undefined
  const composed = COMPOSED[letter]
  if (composed !== undefined) {
    const inner = compileTime(composed)
    return typeof inner === 'function' ? (_at, epochMs) => inner(epochMs) : undefined
  }
  return SPECIFIERS[letter]
}

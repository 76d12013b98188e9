/**
 * The regular expression of a query parameter, in RE2's language like Envoy's:
 * whoever asks the admin port must not be able to stop the data path with it.
 */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** Longer ones are nobody's. */
const MAX_PATTERN_LENGTH = 1_024

/** What matches anywhere in a name; everything when there is no pattern; `undefined` when it is none. */
export function parseNameFilter(pattern: string | null): ((name: string) => boolean) | undefined {
  if (pattern === null || pattern === '') return () => true
  if (pattern.length > MAX_PATTERN_LENGTH) return undefined
  // Loaded by whoever asks: 260 KB of code that a proxy can do without.
  const { RE2JS }: typeof import('re2js') = require('re2js')
  try {
    const compiled = RE2JS.compile(pattern)
    return (name) => compiled.matcher(name).find()
  } catch {
    return undefined
  }
}

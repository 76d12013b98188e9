/** One path predicate, compiled. */
import type { PathMatch, RequestView } from '@weft/model'
import { TextMatcher } from '../text/text-matcher.ts'

export class PathMatcher {
  readonly source: PathMatch
  readonly #text: TextMatcher | undefined

  /** @throws {ConfigError} On a bad regex, naming `where`. */
  constructor(source: PathMatch, where: string) {
    this.source = source
    this.#text = source.kind === 'connect' ? undefined : new TextMatcher(source, where)
  }

  /** @param path Without query and fragment; empty for CONNECT, which only `connect` matches. */
  matches(path: string, request: RequestView): boolean {
    if (this.#text === undefined) return request.method === 'CONNECT'
    return path !== '' && this.#text.matches(path)
  }
}

/** Where the path ends and query or fragment begin. */
export function pathEnd(target: string): number {
  const query = target.indexOf('?')
  const fragment = target.indexOf('#')
  if (query < 0) return fragment < 0 ? target.length : fragment
  return fragment < 0 || query < fragment ? query : fragment
}

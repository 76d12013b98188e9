/** One path predicate, compiled. */
export interface PathMatcher {
  /** @param path Without query and fragment. */
  matches(path: string, isConnect: boolean): boolean
}

/** Predicates on strings and headers, as Envoy's `StringMatcher` and `HeaderMatcher` have them. */

export type StringMatch =
  | { readonly kind: 'exact'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'prefix'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'suffix'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'contains'; readonly value: string; readonly ignoreCase: boolean }
  /** RE2 syntax; must match the whole value. */
  | { readonly kind: 'regex'; readonly value: string }

export interface HeaderMatch {
  /** Lower case; `:method`, `:authority`, `:scheme` and `:path` are the request line's parts. */
  readonly name: string
  readonly value: StringMatch | { readonly kind: 'present' }
  /** True when the header must not match. A missing header matches an inverted predicate. */
  readonly invert: boolean
}

export interface QueryMatch {
  readonly name: string
  readonly value: StringMatch | { readonly kind: 'present' }
}

export type PathMatch =
  | { readonly kind: 'exact'; readonly value: string; readonly ignoreCase: boolean }
  /** Any path that begins with `value`: `/a` matches `/ab` (Istio `uri.prefix`). */
  | { readonly kind: 'prefix'; readonly value: string; readonly ignoreCase: boolean }
  /** Whole segments: `/a` matches `/a` and `/a/b`, not `/ab` (Gateway API `PathPrefix`). */
  | { readonly kind: 'segments'; readonly value: string; readonly ignoreCase: boolean }
  /** RE2 syntax; must match the whole path without its query. */
  | { readonly kind: 'regex'; readonly value: string; readonly ignoreCase: boolean }
  /** CONNECT requests, which have no path. */
  | { readonly kind: 'connect' }

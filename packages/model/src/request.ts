/**
 * What a decision may look at. A proxy's view over the bytes of a request, an
 * RSocket projection and a test's plain object all fit, so every decision in
 * `traffic` means the same everywhere.
 */
export interface RequestView {
  /** As sent; methods are case-sensitive. */
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** Host and optional port, as sent. */
  readonly authority: string
  /** Path with query, as sent: `/a?b=c`; `*` for OPTIONS; empty for CONNECT. */
  readonly path: string
  /**
   * The value of a header by its lower-case name; several are joined with `,`
   * as Envoy does; `undefined` when there is none.
   */
  header(name: string): string | undefined
  /** What verified tokens say of a claim: a text, or those of a list; absent: no token was looked at. */
  claimTexts?(path: readonly string[]): readonly string[]
}

/** What filters found out about a request, for those after them, for routes and for the log. */
import type { VerifiedToken } from '@weft/traffic'

export type FilterMetadata = Readonly<Record<string, unknown>>

export class ExchangeFacts {
  readonly #tokens: VerifiedToken[] = []
  readonly #metadata = new Map<string, FilterMetadata>()

  /** Tokens of end users that were found right, in the order in which they were found. */
  get tokens(): readonly VerifiedToken[] {
    return this.#tokens
  }

  addToken(token: VerifiedToken): void {
    this.#tokens.push(token)
  }

  /** Envoy's dynamic metadata: what the filter of that name left behind. */
  metadata(filter: string): FilterMetadata | undefined {
    return this.#metadata.get(filter)
  }

  /** Beside what is there already; the same key is replaced. */
  addMetadata(filter: string, values: FilterMetadata): void {
    this.#metadata.set(filter, { ...this.#metadata.get(filter), ...values })
  }

  /** A value inside it; `undefined`: there is none. */
  valueAt(filter: string, path: readonly string[]): unknown {
    return valueIn(this.#metadata.get(filter), path)
  }

  /** What the verified tokens say of a claim: a text, or the texts of a list. */
  claimTexts(path: readonly string[]): readonly string[] {
    return this.#tokens.flatMap(({ payload }) => textsOf(valueIn(payload, path)))
  }
}

function valueIn(root: unknown, path: readonly string[]): unknown {
  let value = root
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  return value
}

function textsOf(value: unknown): readonly string[] {
  const values = Array.isArray(value) ? value : [value]
  return values.filter((each) => typeof each === 'string')
}

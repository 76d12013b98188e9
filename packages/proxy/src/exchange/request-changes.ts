/**
 * What filters change about a request's fields: whoever reads the request afterwards – the next
 * filter, a policy, a route, the log, the upstream – sees the changed fields and no others, so that
 * a client's copy of a field that a filter vouches for is nowhere believed.
 */
import type { FieldChanges } from '@weft/traffic'
import { type EncodedHeaders, encodeStamps } from './encoded-headers.ts'

export type { FieldChanges }

export class RequestChanges {
  /** Lines by lower-case name; none: the field is gone. */
  readonly #lines = new Map<string, readonly string[]>()

  /** @param sent Lines of a field as the client sent them. */
  add(changes: FieldChanges, sent: (name: string) => readonly string[]): void {
    for (const name of changes.remove ?? []) this.#lines.set(name, [])
    for (const { name, value } of changes.set ?? []) this.#lines.set(name.toLowerCase(), [value])
    for (const { name, value } of changes.append ?? []) {
      const lower = name.toLowerCase()
      this.#lines.set(lower, [...(this.#lines.get(lower) ?? sent(lower)), value])
    }
  }

  /** `undefined`: the field is as it was sent. */
  lines(name: string): readonly string[] | undefined {
    return this.#lines.get(name)
  }

  get names(): readonly string[] {
    return [...this.#lines.keys()]
  }

  /** @param after What cuts a name also cuts what was changed about it. */
  encode(after: EncodedHeaders | undefined): EncodedHeaders {
    const cut = new Set(after?.cuts.map(({ lower }) => Buffer.from(lower).toString('latin1')))
    const kept = [...this.#lines].filter(([name]) => !cut.has(name))
    const { cuts } = encodeStamps(
      [],
      kept.map(([name]) => name),
    )
    const lines = kept.flatMap(([name, values]) =>
      values.flatMap((value) => encodeStamps([{ name, value }]).lines),
    )
    return { cuts, lines }
  }
}

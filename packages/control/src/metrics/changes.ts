/** Counts what sources report: objects that came, changed and went, valid and invalid ones. */
import type { Document } from '@weft/config'
import { keyOf } from '../snapshot/build.ts'
import type { SourceState } from '../sources/source.ts'
import type { PilotMetrics } from './pilot-metrics.ts'

export class Changes {
  readonly #metrics: PilotMetrics
  readonly #known = new Map<string, ReadonlyMap<string, Document>>()

  constructor(metrics: PilotMetrics) {
    this.#metrics = metrics
  }

  take(source: string, state: SourceState): void {
    const before = this.#known.get(source) ?? new Map<string, Document>()
    const after = new Map(state.documents.map((document) => [keyOf(document), document]))
    this.#known.set(source, after)
    for (const [key, document] of after) {
      const old = before.get(key)
      if (old === document) continue
      this.#metrics.changed(document.kind, old === undefined ? 'add' : 'update')
      this.#metrics.validated(document.kind, true)
    }
    for (const [key, document] of before) {
      if (!after.has(key)) this.#metrics.changed(document.kind, 'delete')
    }
    for (const { object } of state.refused) this.#metrics.validated(object?.kind ?? 'file', false)
  }
}

/**
 * Where configuration documents come from (★ a family: one file per source, all
 * in `catalog.ts`, all held to `conformance.ts`).
 *
 * A source hands over only documents that are valid by themselves. What it
 * refuses it replaces by the last good version of the same object, and says so.
 */
import type { Document, ObjectRef, Problem } from '@weft/config'

export interface Source extends AsyncDisposable {
  /** For logs and status, e.g. `file:/etc/mesh`. */
  readonly name: string

  /**
   * Yields everything there is, first as soon as it was read once and then after
   * each change; merged, never a backlog. A document that did not change is the
   * same object again. Ends when `signal` aborts.
   */
  watch(signal: AbortSignal): AsyncIterable<SourceState>
}

export interface SourceState {
  readonly documents: readonly Document[]
  /** Everything found wrong, worst first per file. */
  readonly problems: readonly Problem[]
  /** What was refused, so that status can say what stays in force. */
  readonly refused: readonly Refusal[]
}

export const EMPTY_SOURCE: SourceState = { documents: [], problems: [], refused: [] }

/** Something whose newest form was not taken. */
export interface Refusal {
  readonly file: string
  /** Absent when the whole file could not be read as documents. */
  readonly object?: ObjectRef
  /** Whether an older, good form stays in force. */
  readonly keptLastGood: boolean
  readonly reason: string
}

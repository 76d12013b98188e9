/**
 * What is wrong with something that somebody wrote, where, and what to do.
 * Bad input is an ordinary answer here: nothing in this package throws for it.
 */

import type { ProblemCode } from './problem-codes.ts'

export type Severity = 'error' | 'warning' | 'info'

export interface Problem {
  /** File as the source named it. */
  readonly file: string
  /** From 1; 0 when unknown. */
  readonly line: number
  /** From 1; 0 when unknown. */
  readonly column: number
  /** JSON path, e.g. `spec.http[0].route[1].weight`; empty for the file or the whole object. */
  readonly path: string
  readonly severity: Severity
  /** Ours, e.g. `unknown-field`; stable, for machines. Every code is in `problem-codes.ts`. */
  readonly code: ProblemCode
  /** Istio's analyzer code where it has one for the same finding, e.g. `IST0101`. */
  readonly alias?: string
  /** What is wrong and what to do. */
  readonly message: string
  /** Text that would be right in place of what was found, e.g. the nearest field name. */
  readonly suggestion?: string
  /** The object; absent when the text could not be read as one. */
  readonly object?: ObjectRef
}

export interface ObjectRef {
  readonly apiVersion: string
  readonly kind: string
  /** Empty for kinds that live in no namespace. */
  readonly namespace: string
  readonly name: string
}

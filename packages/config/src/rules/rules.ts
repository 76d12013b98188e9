/** How the rules of a kind, beyond its schema, report what they find. */

import type { Document, ObjectMeta } from '../document.ts'
import type { ProblemCode } from '../problem-codes.ts'

/** Looks at one object whose shape is sound. */
export type Rules = (object: RuledObject, findings: Findings) => void

export interface RuledObject {
  readonly metadata: ObjectMeta
  readonly spec: Document['spec']
}

export interface Findings {
  /** @param path From the root of the object, e.g. `spec.http[0].route`. */
  error(path: string, code: ProblemCode, message: string): void
  warning(path: string, code: ProblemCode, message: string, alias?: string): void
}

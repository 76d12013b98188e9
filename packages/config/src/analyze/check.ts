/** A check across objects. Members are the other files of this folder; the list is in `catalog.ts`. */

import type { Document } from '../document.ts'
import type { ProblemCode } from '../problem-codes.ts'
import type { AnalysisIndex } from './analysis-index.ts'

export type Check = (index: AnalysisIndex, warn: Warn) => void

/** @param alias Istio's code for the same finding. */
export type Warn = (
  document: Document,
  path: string,
  code: ProblemCode,
  message: string,
  alias?: string,
) => void

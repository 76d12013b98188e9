/** Findings across objects: missing references, shadowed routes, conflicts. All are warnings. */

import type { Document } from './document.ts'
import type { Problem } from './problem.ts'

export interface AnalyzeOptions {
  /** Namespace whose DestinationRules and exports hold for the whole mesh. Default `istio-system`. */
  readonly rootNamespace?: string
  /** Suffix of service names. Default `cluster.local`. */
  readonly domain?: string
}

export function analyze(
  documents: readonly Document[],
  options: AnalyzeOptions = {},
): readonly Problem[] {
  void documents
  void options
  return []
}

/**
 * Findings across objects: missing references, conflicts, duplicates. All are
 * warnings: what is missing here may exist elsewhere, or come later.
 */

import type { Document } from '../document.ts'
import type { Problem } from '../problem.ts'
import { AnalysisIndex } from './analysis-index.ts'
import { CHECKS } from './catalog.ts'
import type { Warn } from './check.ts'

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
  const { domain = 'cluster.local', rootNamespace = 'istio-system' } = options
  const index = new AnalysisIndex(documents, domain, rootNamespace)
  const problems: Problem[] = []
  const warn: Warn = (document, path, code, message, alias) => {
    const { apiVersion, kind, metadata, origin } = document
    problems.push({
      file: origin.file ?? '',
      line: document.lineOf(path),
      column: 0,
      path,
      severity: 'warning',
      code,
      ...(alias === undefined ? {} : { alias }),
      message: `${path === '' ? '' : `${path}: `}${message}`,
      object: { apiVersion, kind, namespace: metadata.namespace, name: metadata.name },
    })
  }
  for (const check of Object.values(CHECKS)) check(index, warn)
  return problems
}

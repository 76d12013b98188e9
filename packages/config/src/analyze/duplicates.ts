/** The same object twice: only one of them can be in force. */

import type { Document } from '../document.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

export function checkDuplicates(index: AnalysisIndex, warn: Warn): void {
  const seen = new Map<string, Document>()
  for (const document of index.documents) {
    const { type, metadata, kind } = document
    const key = `${type}/${metadata.namespace}/${metadata.name}`
    const first = seen.get(key)
    if (first === undefined) {
      seen.set(key, document)
      continue
    }
    const { file = '', line = 0 } = first.origin
    const message = `${kind} ${metadata.namespace}/${metadata.name} is defined at ${file}:${line} already; remove one or rename it`
    warn(document, 'metadata.name', 'duplicate-object', message)
  }
}

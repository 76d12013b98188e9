/** RequestAuthentications that hold for nobody. */

import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'
import { checkTarget } from './security-targets.ts'

export function checkRequestAuthentications(index: AnalysisIndex, warn: Warn): void {
  for (const document of index.all('RequestAuthentication')) checkTarget(document, index, warn)
}

/** Files → what is known of a mesh, with everything found wrong in them told. */
import type { Scene } from '../simulate/perspective.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { readSources } from './read-sources.ts'

/** What is invalid is told and left out, as a control plane does. */
export async function readScene(paths: readonly string[], terminal: Terminal): Promise<Scene> {
  const sources = await readSources(paths, terminal)
  const { renderProblems, validateDocuments } = await import('@weft/config')
  const { documents, problems } = validateDocuments(sources)
  const errors = problems.filter(({ severity }) => severity === 'error')
  const texts = new Map(sources.map(({ file, text }) => [file, text]))
  if (errors.length > 0) terminal.err(renderProblems(errors, texts))
  const { readWorkloadTemplates } = await import('../simulate/workload-templates.ts')
  return { documents, templates: readWorkloadTemplates(sources) }
}

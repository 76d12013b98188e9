/** Files → what is known of a mesh, and everything found wrong in them. */
import type { Problem } from '@weft/config'
import type { Scene } from '../simulate/perspective.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { readSources } from './read-sources.ts'

/** What is invalid is left out, as a control plane does. */
export interface JudgedScene extends Scene {
  readonly problems: readonly Problem[]
}

/** Tells the errors on the terminal, too. */
export async function readScene(
  paths: readonly string[],
  terminal: Terminal,
): Promise<JudgedScene> {
  const { texts, ...scene } = await readQuietly(paths, terminal)
  const errors = errorsOf(scene)
  const { renderProblems } = await import('@weft/config')
  if (errors.length > 0) terminal.err(renderProblems(errors, texts))
  return scene
}

/** @returns With the text of each file. */
export async function readQuietly(
  paths: readonly string[],
  terminal: Terminal,
): Promise<JudgedScene & { readonly texts: ReadonlyMap<string, string> }> {
  const sources = await readSources(paths, terminal)
  const { validateDocuments } = await import('@weft/config')
  const { readWorkloadTemplates } = await import('../simulate/workload-templates.ts')
  const { documents, problems } = validateDocuments(sources)
  const texts = new Map(sources.map(({ file, text }) => [file, text]))
  return { documents, templates: readWorkloadTemplates(sources), problems, texts }
}

export function errorsOf({ problems }: JudgedScene): readonly Problem[] {
  return problems.filter(({ severity }) => severity === 'error')
}

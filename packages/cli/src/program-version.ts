import { readFile } from 'node:fs/promises'
import { MANIFEST } from './program-files.ts'

/** The version of weft, as its package says. */
export async function programVersion(): Promise<string> {
  const text = await readFile(MANIFEST, 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

/** The configuration files under a folder, and whether they changed since they were last looked at. */
import { type Stats, statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

const EXTENSION = /\.(ya?ml|json)$/i
/** Links may form a circle. */
const MAX_DEPTH = 16

/**
 * YAML and JSON files in `path` and below, sorted; `path` itself when it is a
 * file. Names that begin with a dot, end with `~` or stand in `#` belong to editors.
 */
export async function listFiles(path: string): Promise<readonly string[]> {
  const stats = statOf(path)
  if (stats === undefined) return []
  if (!stats.isDirectory()) return [path]
  const found: string[] = []
  await walk(path, 0, found)
  return found.sort()
}

async function walk(folder: string, depth: number, found: string[]): Promise<void> {
  if (depth > MAX_DEPTH) return
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const { name } = entry
    if (name.startsWith('.') || name.startsWith('#') || name.endsWith('~')) continue
    const path = join(folder, name)
    // A link is what it points to: mounted ConfigMaps consist of links.
    const kind = entry.isSymbolicLink() ? statOf(path) : entry
    if (kind?.isDirectory()) await walk(path, depth + 1, found)
    else if (kind?.isFile() && EXTENSION.test(name)) found.push(path)
  }
}

/** Differs whenever the file may differ. */
export function fingerprint(path: string): string | undefined {
  const stats = statOf(path)
  return stats === undefined
    ? undefined
    : `${stats.ino} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs}`
}

/** `undefined` when there is nothing, which at any moment may become so. */
function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false })
}

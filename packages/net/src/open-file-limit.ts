/** How many descriptors this process may hold; each connection takes one. */
import { readFile } from 'node:fs/promises'

/** The soft limit (Node raises it to the hard one at start); `undefined` where it cannot be read. */
export async function openFileLimit(path = '/proc/self/limits'): Promise<number | undefined> {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(await readFile(path, 'latin1'))
    return found === null ? undefined : Number(found[1])
  } catch {
    // Only Linux tells it this way.
    return undefined
  }
}

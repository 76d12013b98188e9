/** Files for the eyes of their owner only that survive a crash: whole, in their place, or not at all. */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

const OWNER_ONLY = 0o600
let attempts = 0

/** Resolves when the text would survive a crash of the machine. @throws What `node:fs` throws. */
export async function writePrivately(path: string, text: string): Promise<void> {
  const folder = dirname(path)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const temporary = join(folder, `.${basename(path)}.${process.pid}.${attempts++}.tmp`)
  try {
    // `wx`: nobody else's file is written into.
    await using file = await open(temporary, 'wx', OWNER_ONLY)
    await file.writeFile(text)
    await file.sync()
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await using opened = await open(folder, 'r')
  await opened.sync()
}

/** `undefined` when there is none. @throws When it is there and cannot be read. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** A file that appears whole or not at all: written beside its place, then renamed into it. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** @throws What `node:fs` throws; the old file is then still there. */
export function writeAtomically(path: string, text: string): void {
  // A leading dot: sources do not read what is still being written.
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  const descriptor = openSync(temporary, 'w', 0o644)
  try {
    writeSync(descriptor, text)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  try {
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}

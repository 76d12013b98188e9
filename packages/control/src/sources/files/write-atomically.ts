/** A file that appears whole or not at all: written beside its place, then renamed into it. */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** @throws What `node:fs` throws; the old file is then still there. */
export function writeAtomically(path: string, text: string): void {
  // A leading dot: sources do not read what is still being written.
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  try {
    writeWhole(temporary, Buffer.from(text))
    renameSync(temporary, path)
  } catch (error) {
    // On a full disk half a file would take what little is left.
    rmSync(temporary, { force: true })
    throw error
  }
}

function writeWhole(path: string, bytes: Buffer): void {
  const descriptor = openSync(path, 'w', 0o644)
  try {
    // A disk that fills up takes a part without an error; the next call has it.
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

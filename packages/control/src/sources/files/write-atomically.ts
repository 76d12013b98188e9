/** A file that appears whole or not at all: written beside its place, then renamed into it. */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Of a file with keys in it. */
export const OWNER_ONLY = 0o600
const READABLE = 0o644

/**
 * @param mode Of a new file, less the umask; one that is there keeps its own, unless this is for its owner only.
 * @throws What `node:fs` throws; the old file is then still there.
 */
export function writeAtomically(path: string, text: string, mode = READABLE): void {
  const known = mode === OWNER_ONLY ? undefined : statSync(path, { throwIfNoEntry: false })?.mode
  // A leading dot: sources do not read what is still being written.
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  try {
    writeWhole(temporary, Buffer.from(text), mode, known)
    renameSync(temporary, path)
  } catch (error) {
    // On a full disk half a file would take what little is left.
    rmSync(temporary, { force: true })
    throw error
  }
}

function writeWhole(path: string, bytes: Buffer, mode: number, known: number | undefined): void {
  // Narrow at first: nobody opens it before it has its mode.
  const descriptor = openSync(path, 'w', known === undefined ? mode : OWNER_ONLY)
  try {
    if (known !== undefined) fchmodSync(descriptor, known & 0o777)
    // A disk that fills up takes a part without an error; the next call has it.
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at)
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

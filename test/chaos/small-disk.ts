/** A disk of a test's own that is soon full, where this machine lets us mount one. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SmallDisk extends Disposable {
  readonly path: string
}

/** @returns `undefined` without the rights to mount. */
export function openSmallDisk(size: string): SmallDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), 'weft-disk-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path])
  if (mounted.status !== 0) {
    rmdirSync(path)
    return undefined
  }
  return {
    path,
    [Symbol.dispose]() {
      // Lazily: a process that is about to end may have a file open.
      spawnSync('umount', ['-l', path])
      rmdirSync(path)
    },
  }
}

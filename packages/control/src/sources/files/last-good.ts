/**
 * The last good text of every file, on disk, so that a restart while a file is
 * broken does not forget what is in force.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { contentHash } from '@weft/base'
import { OWNER_ONLY, writeAtomically } from './write-atomically.ts'

export class LastGoodTexts {
  readonly #folder: string
  readonly #written = new Map<string, string>()

  constructor(folder: string) {
    this.#folder = folder
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  }

  read(file: string): string | undefined {
    try {
      return readFileSync(this.#pathOf(file), 'utf8')
    } catch {
      // Nothing kept, or not readable: both mean starting without a last good form.
      return undefined
    }
  }

  write(file: string, text: string): void {
    const hash = contentHash(text)
    if (this.#written.get(file) === hash) return
    // A Secret may be among the objects.
    writeAtomically(this.#pathOf(file), text, OWNER_ONLY)
    this.#written.set(file, hash)
  }

  forget(file: string): void {
    this.#written.delete(file)
    rmSync(this.#pathOf(file), { force: true })
  }

  #pathOf(file: string): string {
    return join(this.#folder, `${contentHash(file)}.yaml`)
  }
}

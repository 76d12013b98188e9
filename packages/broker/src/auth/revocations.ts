/** Tokens that do not count any more: one `jti`, or SHA-256 of the token in hex, on each line of a file. */
import { readFile } from 'node:fs/promises'
import type { Clock, Logger } from '@weft/base'

export interface RevocationsDeps {
  readonly clock: Clock
  readonly log: Logger
  onChange(): void
}

const LOOK_MS = 5_000

export class Revocations {
  readonly #path: string
  readonly #deps: RevocationsDeps
  #text = ''
  #ids: ReadonlySet<string> = new Set()
  #closed = false
  #cancel: () => void = () => undefined

  constructor(path: string, deps: RevocationsDeps) {
    this.#path = path
    this.#deps = deps
  }

  /** @throws What `node:fs` throws: a list that cannot be read at the start is a mistake. */
  async open(): Promise<void> {
    this.#take(await readFile(this.#path, 'utf8'))
    this.#lookLater()
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  #lookLater(): void {
    this.#cancel = this.#deps.clock.after(LOOK_MS, () => {
      void this.#look().finally(() => (this.#closed ? undefined : this.#lookLater()))
    })
  }

  async #look(): Promise<void> {
    try {
      this.#take(await readFile(this.#path, 'utf8'))
    } catch (error) {
      this.#deps.log.warn('the list of revoked tokens is not read; what it said stays', { error })
    }
  }

  #take(text: string): void {
    if (text === this.#text) return
    this.#text = text
    const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim())
    this.#ids = new Set(lines.filter((line) => line !== ''))
    this.#deps.onChange()
  }
}

/** The last certificate on disk, for its owner only: a proxy that starts without a control plane still is who it was. */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '@weft/base'
import { restoreSvid, type Svid } from './svid.ts'

const FILE = 'svid.json'
const FORMAT = 1

export class SvidStore {
  readonly #dir: string
  readonly #log: Logger

  constructor(dir: string, log: Logger) {
    this.#dir = dir
    this.#log = log
  }

  /** `undefined` when there is none, or none that can be used. */
  async load(): Promise<Svid | undefined> {
    let text: string
    try {
      text = await readFile(join(this.#dir, FILE), 'utf8')
    } catch {
      return undefined
    }
    const fields = parse(text)
    const read =
      fields === undefined
        ? { ok: false as const, problem: 'it is no saved certificate' }
        : restoreSvid(fields)
    if (read.ok) return read.svid
    this.#log.warn('saved certificate not used', { dir: this.#dir, problem: read.problem })
    return undefined
  }

  /** A full or read-only disk must not stop a proxy: what went wrong is logged. */
  async save({ chainPem, keyPem, rootPem, rootsPem, issuedAtMs }: Svid): Promise<void> {
    const path = join(this.#dir, FILE)
    const temporary = `${path}.${process.pid}.tmp`
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 })
      const file = await open(temporary, 'w', 0o600)
      try {
        const saved = { format: FORMAT, chainPem, keyPem, rootPem, rootsPem, issuedAtMs }
        await file.writeFile(JSON.stringify(saved))
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, path)
    } catch (error) {
      this.#log.warn('certificate not saved', { dir: this.#dir, error })
      await rm(temporary, { force: true }).catch(() => {})
    }
  }
}

type Saved = Pick<Svid, 'chainPem' | 'keyPem' | 'rootPem' | 'rootsPem' | 'issuedAtMs'>

function parse(text: string): Saved | undefined {
  try {
    const saved = JSON.parse(text) as Record<string, unknown>
    const { format, chainPem, keyPem, rootPem, rootsPem, issuedAtMs } = saved
    const isWhole =
      format === FORMAT &&
      typeof chainPem === 'string' &&
      typeof keyPem === 'string' &&
      typeof rootPem === 'string' &&
      typeof rootsPem === 'string' &&
      typeof issuedAtMs === 'number'
    return isWhole ? { chainPem, keyPem, rootPem, rootsPem, issuedAtMs } : undefined
  } catch {
    return undefined
  }
}

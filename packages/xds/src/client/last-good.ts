/**
 * The last good state on disk, so that a proxy that restarts while the control plane is away
 * serves what it served before.
 *
 * One file, replaced whole: written beside, synced, renamed, mode 0600. Private keys never go into
 * it. A file that cannot be read costs a warning, nothing else.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from '@weft/base'
import type { ResourceType } from '@weft/model'
import { RESOURCE_TYPES } from '../type-urls.ts'
import type { RawResource, ResourceStore } from './resource-store.ts'

const FILE = 'last-good.json'
const FORMAT = 1

interface Saved {
  readonly format: number
  /** Whose state it is; a workload does not run on another one's. */
  readonly owner: string
  readonly checksum: string
  readonly resources: string
}

interface SavedResource {
  readonly type: string
  readonly name: string
  readonly version: string
  /** Base64 of the proto. */
  readonly bytes: string
}

export class LastGood {
  readonly #dir: string
  readonly #owner: string
  readonly #log: Logger
  #writing: Promise<void> = Promise.resolve()
  #next: string | undefined

  constructor(dir: string, owner: string, log: Logger) {
    this.#dir = dir
    this.#owner = owner
    this.#log = log
  }

  /** What was saved, by type; empty when there is nothing that can be used. */
  async load(): Promise<Map<ResourceType, RawResource[]>> {
    const found = new Map<ResourceType, RawResource[]>()
    try {
      for (const { type, name, version, bytes } of parse(
        await readFile(join(this.#dir, FILE), 'utf8'),
        this.#owner,
      )) {
        const known = RESOURCE_TYPES.find((one) => one === type)
        if (known === undefined) continue
        const list = found.get(known) ?? []
        list.push({ name, version, bytes: Buffer.from(bytes, 'base64') })
        found.set(known, list)
      }
    } catch (error) {
      if (!isMissing(error)) this.#log.warn('last good state not used', { dir: this.#dir, error })
      return new Map()
    }
    return found
  }

  /** Saves what the store holds now. While one save is under way only the newest waits. */
  save(store: ResourceStore): Promise<void> {
    const waits = this.#next !== undefined
    this.#next = this.#render(store)
    if (!waits) {
      this.#writing = this.#writing.then(() => {
        const text = this.#next
        this.#next = undefined
        return text === undefined ? undefined : this.#write(text)
      })
    }
    return this.#writing
  }

  #render(store: ResourceStore): string {
    const resources: SavedResource[] = []
    for (const type of RESOURCE_TYPES) {
      // Keys would outlive their rotation on a disk; the proxy asks for them again.
      if (type === 'secret') continue
      for (const { name, version, bytes } of store.raw(type)) {
        resources.push({ type, name, version, bytes: Buffer.from(bytes).toString('base64') })
      }
    }
    const text = JSON.stringify(resources)
    const saved: Saved = {
      format: FORMAT,
      owner: this.#owner,
      checksum: checksum(text),
      resources: text,
    }
    return JSON.stringify(saved)
  }

  async #write(text: string): Promise<void> {
    const path = join(this.#dir, FILE)
    const temporary = `${path}.${process.pid}.tmp`
    try {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 })
      const file = await open(temporary, 'w', 0o600)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, path)
    } catch (error) {
      // A full or read-only disk must not stop a proxy.
      this.#log.warn('last good state not saved', { dir: this.#dir, error })
      await rm(temporary, { force: true }).catch(() => {})
    }
  }
}

/** @throws When the text is no saved state of this owner. */
function parse(text: string, owner: string): SavedResource[] {
  const saved: unknown = JSON.parse(text)
  if (!isSaved(saved)) throw new Error('it is not a saved state')
  if (saved.format !== FORMAT) throw new Error(`it has format ${saved.format}, not ${FORMAT}`)
  if (saved.owner !== owner) throw new Error(`it belongs to ${saved.owner}`)
  if (checksum(saved.resources) !== saved.checksum) throw new Error('its checksum is wrong')
  return JSON.parse(saved.resources) as SavedResource[]
}

function isSaved(value: unknown): value is Saved {
  if (typeof value !== 'object' || value === null) return false
  const { format, owner, checksum: sum, resources } = value as Partial<Saved>
  return (
    typeof format === 'number' &&
    typeof owner === 'string' &&
    typeof sum === 'string' &&
    typeof resources === 'string'
  )
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

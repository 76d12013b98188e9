/**
 * Resources from files: a `DiscoveryResponse` per file (P17). A file that cannot be read, or a
 * resource in it that must be refused, leaves what was there before; a file that is deleted takes
 * its resources along.
 */
import { type FSWatcher, statSync, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { ResourceType } from '@weft/model'
import type { Rejection, ResourceFiles, ResourceSinkDeps } from '../client/ads-client.ts'
import { Rejections } from '../client/rejections.ts'
import { type RawResource, ResourceStore } from '../client/resource-store.ts'
import { codec } from '../codec/codec.ts'
import { RESOURCE_TYPES } from '../type-urls.ts'
import { isResourceFile, parseResourceFile } from './parse-resource-file.ts'

/** Editors and tools touch a file several times to write it once. */
const SETTLE_MS = 50

export async function openResourceFiles(
  path: string,
  deps: ResourceSinkDeps,
): Promise<ResourceFiles> {
  const files = new Files(path, deps)
  await files.reload()
  files.watch()
  return files
}

type FileContent = ReadonlyMap<ResourceType, readonly RawResource[]>

class Files implements ResourceFiles {
  readonly #path: string
  readonly #deps: ResourceSinkDeps
  readonly #store: ResourceStore
  readonly #rejections: Rejections
  /** What each file held when it could last be read. */
  #contents = new Map<string, FileContent>()
  #watcher: FSWatcher | undefined
  #cancelSettle: (() => void) | undefined
  #reloading: Promise<void> = Promise.resolve()
  #started = false
  #closed = false

  constructor(path: string, deps: ResourceSinkDeps) {
    this.#path = path
    this.#deps = deps
    this.#store = new ResourceStore(codec, deps.validate)
    this.#rejections = new Rejections(deps.clock)
  }

  /** Watches the folder even for one file: what replaces a file by a rename is another file. */
  watch(): void {
    const isFolder = statSync(this.#path, { throwIfNoEntry: false })?.isDirectory() ?? false
    const folder = isFolder ? this.#path : dirname(this.#path)
    try {
      this.#watcher = watch(folder, { persistent: false }, () => this.#settle())
      this.#watcher.on('error', (error) => this.#deps.log.warn('cannot watch', { folder, error }))
    } catch (error) {
      this.#deps.log.warn('cannot watch', { folder, error })
    }
  }

  rejections(): readonly Rejection[] {
    return this.#rejections.newestFirst()
  }

  /** One at a time: a reload that is asked for meanwhile sees the newest files anyway. */
  reload(): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#read())
    return this.#reloading
  }

  close(): void {
    this.#closed = true
    this.#cancelSettle?.()
    this.#watcher?.close()
  }

  #settle(): void {
    this.#cancelSettle?.()
    this.#cancelSettle = this.#deps.clock.after(SETTLE_MS, () => {
      // Whatever fails in there is logged there.
      void this.reload()
    })
  }

  async #read(): Promise<void> {
    if (this.#closed) return
    const contents = new Map<string, FileContent>()
    for (const file of await this.#list()) {
      const content = (await this.#readFile(file)) ?? this.#contents.get(file)
      if (content !== undefined) contents.set(file, content)
    }
    this.#contents = contents
    this.#apply()
  }

  async #list(): Promise<string[]> {
    try {
      if (!(await stat(this.#path)).isDirectory()) return [this.#path]
      const names = (await readdir(this.#path)).filter(isResourceFile).sort()
      return names.map((name) => join(this.#path, name))
    } catch (error) {
      this.#deps.log.warn('cannot read resource files', { path: this.#path, error })
      return [...this.#contents.keys()]
    }
  }

  async #readFile(file: string): Promise<FileContent | undefined> {
    try {
      return await parseResourceFile(basename(file), await readFile(file))
    } catch (error) {
      this.#deps.log.warn('resource file not used', { file, error })
      return undefined
    }
  }

  #apply(): void {
    for (const type of RESOURCE_TYPES) {
      const resources = [...this.#contents.values()].flatMap((content) => content.get(type) ?? [])
      for (const { name, version, problem } of this.#store.put(type, resources)) {
        this.#rejections.add({ type, name, version, problem })
        this.#deps.log.warn('resource refused', { type, name, problem })
      }
      const wanted = new Set(resources.map((resource) => resource.name))
      for (const name of [...this.#store.names(type)]) {
        if (!wanted.has(name)) this.#store.remove(type, name)
      }
    }
    if (this.#started && !this.#store.hasChanges()) return
    this.#started = true
    this.#deps.onUpdate({ ...this.#store.snapshot(), source: 'file' })
  }
}

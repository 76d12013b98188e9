/**
 * A folder (or one file) of YAML and JSON, watched.
 *
 *     kernel event ---+
 *     poll timer -----+--> quiet for 50 ms --> look at every file --> read what changed
 *
 * Events only say "look again": what is read is decided by comparing the folder
 * with what was seen, so that no order of events, missing event or rename of an
 * editor can leave a wrong state. The poll finds what the kernel does not tell
 * (network and container file systems).
 */
import { existsSync, type FSWatcher, statSync, watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type Clock, Latest, type Logger } from '@weft/base'
import type { Problem } from '@weft/config'
import { EMPTY_FILE, type FileState, nextFileState } from './files/file-state.ts'
import type { LastGoodTexts } from './files/last-good.ts'
import { fingerprint, listFiles } from './files/list-files.ts'
import type { Source, SourceState } from './source.ts'

export interface FileSourceOptions {
  /** Folder or file; it may appear later. */
  readonly path: string
  /** Quiet time after an event before files are read, in milliseconds; default 50. */
  readonly quietMs?: number
  /** How often to look without an event, in milliseconds; default 2000. */
  readonly pollMs?: number
  /** How long a cut text is taken for one that is being written, in milliseconds; default 1000. */
  readonly halfWrittenMs?: number
}

export interface FileSourceDeps {
  readonly clock: Clock
  readonly log: Logger
  readonly lastGood?: LastGoodTexts
}

interface KnownFile {
  readonly fingerprint: string
  readonly text: string
  readonly state: FileState
  /** When it was first seen cut short after it held more. */
  readonly cutSinceMs?: number
}

export class FileSource implements Source {
  readonly name: string
  readonly #options: Required<FileSourceOptions>
  readonly #deps: FileSourceDeps
  readonly #latest = new Latest<SourceState>()
  readonly #closed = new AbortController()
  #files: ReadonlyMap<string, KnownFile> = new Map()
  #watcher: FSWatcher | undefined
  #cancelQuiet: (() => void) | undefined
  #cancelPoll: (() => void) | undefined
  #cancelLook: (() => void) | undefined
  #scanning: Promise<void> | undefined
  #isStale = false

  constructor(options: FileSourceOptions, deps: FileSourceDeps) {
    this.name = `file:${options.path}`
    this.#options = { quietMs: 50, pollMs: 2_000, halfWrittenMs: 1_000, ...options }
    this.#deps = deps
    this.#poll()
  }

  watch(signal: AbortSignal): AsyncIterable<SourceState> {
    return this.#latest.watch(AbortSignal.any([signal, this.#closed.signal]))
  }

  /** Looks at every file now; resolves when a look that began after the call is done. */
  async rescan(): Promise<void> {
    this.#isStale = true
    this.#scanning ??= this.#scanWhileStale().finally(() => {
      this.#scanning = undefined
    })
    await this.#scanning
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort()
    this.#watcher?.close()
    this.#cancelQuiet?.()
    this.#cancelPoll?.()
    this.#cancelLook?.()
    await this.#scanning
  }

  #poll(): void {
    if (this.#closed.signal.aborted) return
    this.#openWatcher()
    void this.rescan().finally(() => {
      if (this.#closed.signal.aborted) return
      this.#cancelPoll = this.#deps.clock.after(this.#options.pollMs, () => this.#poll())
    })
  }

  /** Without a watcher (nothing there yet, no inotify left) the poll alone has to do. */
  #openWatcher(): void {
    if (this.#watcher !== undefined) return
    const { path } = this.#options
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats === undefined) return
    // One file is watched through its folder: editors replace the file itself.
    const target = stats.isDirectory() ? path : dirname(path)
    try {
      const options = { recursive: stats.isDirectory(), persistent: false }
      const watcher = watch(target, options, () => this.#changed())
      watcher.on('error', () => this.#dropWatcher())
      this.#watcher = watcher
    } catch (error) {
      this.#deps.log.debug('cannot watch, polling instead', { target, error })
    }
  }

  #dropWatcher(): void {
    this.#watcher?.close()
    this.#watcher = undefined
  }

  #changed(): void {
    if (this.#closed.signal.aborted) return
    this.#cancelQuiet?.()
    this.#cancelQuiet = this.#deps.clock.after(this.#options.quietMs, () => {
      void this.rescan()
    })
  }

  async #scanWhileStale(): Promise<void> {
    while (this.#isStale && !this.#closed.signal.aborted) {
      this.#isStale = false
      try {
        await this.#scan()
      } catch (error) {
        // E.g. a folder that vanished while it was listed: what is known stays, the poll looks again.
        this.#deps.log.warn('cannot read configuration folder', { source: this.name, error })
      }
    }
  }

  async #scan(): Promise<void> {
    const paths = await listFiles(this.#options.path)
    // It was removed: a watcher of what was there says nothing about a new one.
    if (!existsSync(this.#options.path)) this.#dropWatcher()
    const files = new Map<string, KnownFile>()
    for (const path of paths) {
      const known = await this.#look(path)
      if (known !== undefined) files.set(path, known)
    }
    for (const path of this.#files.keys()) {
      if (!files.has(path)) this.#deps.lastGood?.forget(path)
    }
    const isSame =
      files.size === this.#files.size &&
      [...files].every(([path, file]) => this.#files.get(path)?.state === file.state)
    this.#files = files
    if (!isSame || this.#latest.value === undefined) this.#latest.set(mergeFiles(files))
  }

  async #look(path: string): Promise<KnownFile | undefined> {
    const before = this.#files.get(path)
    const seen = fingerprint(path)
    if (seen === undefined) return undefined
    if (seen === before?.fingerprint && before.cutSinceMs === undefined) return before
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      return this.#unreadable(path, before, error)
    }
    if (fingerprint(path) !== seen) {
      // Somebody is writing: what was read may be half of it.
      this.#changed()
      if (before !== undefined) return before
    }
    return this.#take(path, before, seen, text)
  }

  #take(path: string, before: KnownFile | undefined, seen: string, text: string): KnownFile {
    const state = nextFileState(before?.state ?? this.#remembered(path), path, text)
    if (before !== undefined && isCut(before, state, text)) {
      const nowMs = this.#deps.clock.monotonicMs()
      const sinceMs = before.cutSinceMs ?? nowMs
      const leftMs = sinceMs + this.#options.halfWrittenMs - nowMs
      if (leftMs > 0) {
        this.#lookAgain(leftMs)
        return { ...before, fingerprint: seen, cutSinceMs: sinceMs }
      }
    }
    if (state.isGood) this.#keep(path, text)
    return { fingerprint: seen, text, state }
  }

  /** What cannot be kept, e.g. on a full disk, is in force all the same. */
  #keep(path: string, text: string): void {
    try {
      this.#deps.lastGood?.write(path, text)
    } catch (error) {
      this.#deps.log.warn('cannot keep the last good form of a file', { path, error })
    }
  }

  /** A writer that is done makes no event more. */
  #lookAgain(afterMs: number): void {
    this.#cancelLook?.()
    this.#cancelLook = this.#deps.clock.after(afterMs, () => void this.rescan())
  }

  #remembered(path: string): FileState {
    const text = this.#deps.lastGood?.read(path)
    return text === undefined ? EMPTY_FILE : nextFileState(EMPTY_FILE, path, text)
  }

  #unreadable(path: string, before: KnownFile | undefined, error: unknown): KnownFile {
    const state = before?.state ?? this.#remembered(path)
    const message = `cannot be read: ${error instanceof Error ? error.message : String(error)}`
    const problem: Problem = {
      file: path,
      line: 0,
      column: 0,
      path: '',
      severity: 'error',
      code: 'unreadable-file',
      message,
    }
    return {
      // Never equal to a real one: it is tried again at every look.
      fingerprint: '',
      text: before?.text ?? '',
      state: {
        ...state,
        problems: [problem],
        refused: [{ file: path, keptLastGood: state.documents.length > 0, reason: message }],
        isGood: false,
      },
    }
  }
}

/**
 * True when objects are gone although the file is there, and its text looks as
 * if more were to come: it is empty, ends within a line, or is the beginning of
 * what it was. Whoever really removes the rest waits a moment for the effect.
 */
function isCut(before: KnownFile, state: FileState, text: string): boolean {
  return (
    state.documents.length < before.state.documents.length &&
    (!text.endsWith('\n') || before.text.startsWith(text))
  )
}

function mergeFiles(files: ReadonlyMap<string, KnownFile>): SourceState {
  const states = [...files.values()].map(({ state }) => state)
  return {
    documents: states.flatMap(({ documents }) => documents),
    problems: states.flatMap(({ problems }) => problems),
    refused: states.flatMap(({ refused }) => refused),
  }
}

/**
 * Who changed what, from where, and what came of it: one JSON object a line, in a file for its
 * owner's eyes, and the last thousand in memory for `/v1/audit`. Refused changes are told too. Bodies
 * are not: they have secrets in them.
 */
import { appendFile, mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Logger } from '@weft/base'

export interface AuditEntry {
  /** RFC 3339. */
  readonly time: string
  readonly user: string
  readonly groups: readonly string[]
  readonly proof: string
  /** `127.0.0.1:40112`, or `unix`. */
  readonly from: string
  readonly action: string
  readonly method: string
  /** Without its query. */
  readonly path: string
  /** What it was about, e.g. `VirtualService shop/reviews`. */
  readonly subjects: readonly string[]
  readonly status: number
  /** Of a refusal. */
  readonly reason?: string
}

export interface AuditLogDeps {
  /** Absent: memory only. */
  readonly path: string | undefined
  readonly log: Logger
}

const KEPT = 1_000
const MAX_BYTES = 10 * 1024 * 1024
const OWNER_ONLY = 0o600

export class AuditLog {
  readonly #deps: AuditLogDeps
  readonly #last: AuditEntry[] = []
  #written: Promise<void> = Promise.resolve()

  constructor(deps: AuditLogDeps) {
    this.#deps = deps
  }

  /** Resolves when it is in the file; never rejects: what was done was done. */
  add(entry: AuditEntry): Promise<void> {
    this.#last.push(entry)
    if (this.#last.length > KEPT) this.#last.shift()
    const { path, log } = this.#deps
    const { time: _time, ...facts } = entry
    log.info('operator', facts)
    if (path === undefined) return Promise.resolve()
    this.#written = this.#written
      .then(() => append(path, `${JSON.stringify(entry)}\n`))
      .catch((error: unknown) => log.error('cannot write the audit log', { path, error }))
    return this.#written
  }

  /** The newest first. */
  last(count: number): readonly AuditEntry[] {
    return this.#last.slice(-count).reverse()
  }

  close(): Promise<void> {
    return this.#written
  }
}

/** The one before is kept, so that the log is bounded and a year is not lost at once. */
async function append(path: string, line: string): Promise<void> {
  const size = await stat(path).then(
    (found) => found.size,
    () => undefined,
  )
  if (size === undefined) {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await using _file = await open(path, 'a', OWNER_ONLY)
  }
  if (size !== undefined && size > MAX_BYTES) await rename(path, `${path}.1`)
  await appendFile(path, line, { mode: OWNER_ONLY })
}

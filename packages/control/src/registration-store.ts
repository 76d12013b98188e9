/**
 * Self-registrations on disk, so that a restarted control plane does not tell
 * the first proxy that comes back that all the others are gone.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock, Logger } from '@weft/base'
import type { KeptRegistration } from './registries/self-registration.ts'
import { writeAtomically } from './sources/files/write-atomically.ts'

/** Bursts of joining workloads are written once. */
const QUIET_MS = 100

export class RegistrationStore {
  readonly #path: string
  readonly #clock: Clock
  readonly #log: Logger
  #cancel: (() => void) | undefined
  #written = ''

  constructor(path: string, clock: Clock, log: Logger) {
    this.#path = path
    this.#clock = clock
    this.#log = log
    mkdirSync(dirname(path), { recursive: true })
  }

  /** Empty when nothing was kept or it cannot be read: then workloads register again, as ever. */
  read(): readonly KeptRegistration[] {
    try {
      const value: unknown = JSON.parse(readFileSync(this.#path, 'utf8'))
      return Array.isArray(value) ? value.filter(isKept) : []
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#log.warn('cannot read kept registrations', { path: this.#path, error })
      }
      return []
    }
  }

  /** @param registrations Asked for when it is time to write. */
  schedule(registrations: () => readonly KeptRegistration[]): void {
    this.#cancel ??= this.#clock.after(QUIET_MS, () => this.flush(registrations()))
  }

  flush(registrations: readonly KeptRegistration[]): void {
    this.#cancel?.()
    this.#cancel = undefined
    const text = `${JSON.stringify(registrations, undefined, 1)}\n`
    if (text === this.#written) return
    try {
      writeAtomically(this.#path, text)
      this.#written = text
    } catch (error) {
      this.#log.warn('cannot keep registrations', { path: this.#path, error })
    }
  }
}

/** The file is our own, but a disk may hold anything. */
function isKept(value: unknown): value is KeptRegistration {
  if (typeof value !== 'object' || value === null) return false
  const { id, workload, offers } = value as Partial<KeptRegistration>
  return typeof id === 'string' && typeof workload === 'object' && Array.isArray(offers)
}

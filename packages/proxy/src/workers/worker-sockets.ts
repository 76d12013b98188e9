/** The listening sockets of one worker: asked for, bound and given back by way of its supervisor. */

import type { ListeningSockets } from '../upgrade/handed-sockets.ts'
import type { FromWorker } from './messages.ts'

type Send = (message: FromWorker, handle?: object) => void

export class WorkerSockets implements ListeningSockets {
  readonly #send: Send
  readonly #asked = new Map<string, ((handle: object | undefined) => void)[]>()
  readonly #held = new Set<string>()

  constructor(send: Send) {
    this.#send = send
  }

  /** What it listens on. */
  get keys(): ReadonlySet<string> {
    return this.#held
  }

  take(key: string): Promise<object | undefined> {
    return new Promise((resolve) => {
      this.#asked.set(key, [...(this.#asked.get(key) ?? []), resolve])
      this.#send({ kind: 'take', key })
    })
  }

  /** The supervisor's answer. */
  given(key: string, handle: object | undefined): void {
    const [first, ...rest] = this.#asked.get(key) ?? []
    if (rest.length === 0) this.#asked.delete(key)
    else this.#asked.set(key, rest)
    first?.(handle)
  }

  opened(key: string, handle: object | undefined, isInherited: boolean): void {
    this.#held.add(key)
    if (!isInherited && handle !== undefined) this.#send({ kind: 'bound', key }, sendable(handle))
  }

  failed(key: string): void {
    this.#send({ kind: 'failed', key })
  }

  released(key: string): void {
    if (this.#held.delete(key)) this.#send({ kind: 'released', key })
  }
}

/** A `net.Server` would begin to accept wherever it arrives; its handle alone does not. */
export function sendable(handle: object): object {
  const { _handle } = handle as { readonly _handle?: object | null }
  return _handle ?? handle
}

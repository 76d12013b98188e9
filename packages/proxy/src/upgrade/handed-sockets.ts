/**
 * Listening sockets on their way from a process to its successor, or from a supervisor to
 * its workers. Several hold the same socket for a while, so no connection in its queue is
 * ever lost.
 */
import { renderAddress, type SocketAddress } from '@weft/model'

export interface HandedSocket {
  /** What it is for, as both processes work it out. */
  readonly key: string
  /** What Node can send to a child process. */
  readonly handle: object
}

/** Where a proxy gets sockets that are open already, and who hears what it does with them. */
export interface ListeningSockets {
  /** `undefined`: it binds one itself, then says `opened` or `failed`. */
  take(key: string): object | undefined | Promise<object | undefined>
  opened?(key: string, handle: object | undefined, isInherited: boolean): void
  failed?(key: string): void
  /** It listens on it no more. */
  released?(key: string): void
}

export const ADMIN_SOCKET = 'admin'

/** By the address that was asked for; one whose port the kernel chose is known by its name. */
export function socketKey(name: string, wanted: SocketAddress): string {
  const address = renderAddress(wanted)
  return wanted.port === 0 ? `${name}@${address}` : address
}

export class HandedSockets implements ListeningSockets {
  readonly #handles: Map<string, object>

  constructor(sockets: readonly HandedSocket[]) {
    this.#handles = new Map(sockets.map(({ key, handle }) => [key, handle]))
  }

  /** Each can be taken once. */
  take(key: string): object | undefined {
    const handle = this.#handles.get(key)
    this.#handles.delete(key)
    return handle
  }
}

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

/** How to come by a listening socket. */
export interface SocketPlan {
  /** Accept on all of these: the workers of the process before had one each. */
  readonly inherited?: readonly object[]
  /** Bind one beside others of the same port; without a port nobody has one yet. */
  readonly reusePort?: { readonly port: number | undefined }
}

export interface OpenedSocket {
  readonly handle: object | undefined
  readonly port: number
  readonly isInherited: boolean
  /** Nobody else can bind this port. */
  readonly isShared: boolean
}

/** Where a proxy gets sockets that are open already, and who hears what it does with them. */
export interface ListeningSockets {
  take(key: string): SocketPlan | Promise<SocketPlan>
  opened?(key: string, socket: OpenedSocket): void
  /** It could not bind one as planned; it may ask once more. */
  failed?(key: string): void
  /** It listens there no more. */
  released?(key: string): void
  /** Whether there is one already. */
  has?(key: string): boolean
}

export const ADMIN_SOCKET = 'admin'

/** By the address that was asked for; one whose port the kernel chose is known by its name. */
export function socketKey(name: string, wanted: SocketAddress): string {
  const address = renderAddress(wanted)
  return wanted.port === 0 ? `${name}@${address}` : address
}

/** The socket of one of several workers; the first one's has the plain name. */
export function slotKey(key: string, slot: number): string {
  return slot === 0 ? key : `${key}#${slot}`
}

export class HandedSockets implements ListeningSockets {
  readonly #handles: Map<string, object>

  constructor(sockets: readonly HandedSocket[]) {
    this.#handles = new Map(sockets.map(({ key, handle }) => [key, handle]))
  }

  take(key: string): SocketPlan {
    const inherited = [...this.takeSlots(key).values()]
    return inherited.length === 0 ? {} : { inherited }
  }

  has(key: string): boolean {
    return [...this.#handles.keys()].some((handed) => slotOf(handed, key) !== undefined)
  }

  /** By the worker that had it. Each can be taken once. */
  takeSlots(key: string): Map<number, object> {
    const slots = new Map<number, object>()
    for (const [handed, handle] of [...this.#handles]) {
      const slot = slotOf(handed, key)
      if (slot === undefined) continue
      slots.set(slot, handle)
      this.#handles.delete(handed)
    }
    return slots
  }
}

function slotOf(handed: string, key: string): number | undefined {
  if (handed === key) return 0
  return handed.startsWith(`${key}#`) ? Number(handed.slice(key.length + 1)) : undefined
}

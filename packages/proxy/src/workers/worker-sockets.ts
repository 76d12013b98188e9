/** The listening sockets of one worker: asked for, bound and given back by way of its supervisor. */
import type { ListeningSockets, OpenedSocket, SocketPlan } from '../upgrade/handed-sockets.ts'
import type { FromWorker, SocketOrder } from './messages.ts'

type Send = (message: FromWorker, handle?: object) => void

export class WorkerSockets implements ListeningSockets {
  readonly #send: Send
  readonly #asked = new Map<string, ((plan: SocketPlan) => void)[]>()

  constructor(send: Send) {
    this.#send = send
  }

  take(key: string): Promise<SocketPlan> {
    return new Promise((resolve) => {
      this.#asked.set(key, [...(this.#asked.get(key) ?? []), resolve])
      this.#send({ kind: 'take', key })
    })
  }

  /** The supervisor's answer. */
  given(key: string, order: SocketOrder, handle: object | undefined): void {
    const [first, ...rest] = this.#asked.get(key) ?? []
    if (rest.length === 0) this.#asked.delete(key)
    else this.#asked.set(key, rest)
    first?.(planOf(order, handle))
  }

  opened(key: string, { handle, port, isInherited, isShared }: OpenedSocket): void {
    const own = isInherited || handle === undefined ? undefined : sendable(handle)
    this.#send({ kind: 'opened', key, port, isShared }, own)
  }

  failed(key: string): void {
    this.#send({ kind: 'failed', key })
  }

  released(key: string): void {
    this.#send({ kind: 'released', key })
  }
}

function planOf(order: SocketOrder, handle: object | undefined): SocketPlan {
  switch (order.kind) {
    case 'inherit':
      return handle === undefined ? {} : { inherited: [handle] }
    case 'first':
      return { reusePort: { port: undefined } }
    case 'join':
      return { reusePort: { port: order.port } }
  }
}

/** A `net.Server` would begin to accept wherever it arrives; its handle alone does not. */
export function sendable(handle: object): object {
  const { _handle } = handle as { readonly _handle?: object | null }
  return _handle ?? handle
}

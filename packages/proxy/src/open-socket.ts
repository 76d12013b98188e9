/** Opens a listener on a socket of its own, on inherited ones, or beside those of other workers. */
import { isUnixSocket, type SocketAddress } from '@weft/model'
import type { SocketHandler, Transport } from '@weft/net'
import type { OpenListener } from './listen/open-listener.ts'
import type { ListeningSockets, SocketPlan } from './upgrade/handed-sockets.ts'

interface SocketOptions {
  readonly address: SocketAddress
  readonly reusePort?: boolean
  readonly inherited?: object
}

interface SocketDeps {
  readonly transport: Transport
  readonly sockets: ListeningSockets | undefined
  open(options: SocketOptions): Promise<OpenListener>
}

/** @throws The system's error when the address cannot be bound. */
export async function openSocket(
  key: string,
  address: SocketAddress,
  deps: SocketDeps,
): Promise<OpenListener> {
  const { sockets } = deps
  const plan = (await sockets?.take(key)) ?? {}
  try {
    return await follow(plan, key, address, deps)
  } catch (error) {
    sockets?.failed?.(key)
    // Beside the others there was no room: one of theirs will do.
    if (plan.reusePort?.port === undefined) throw error
    return follow((await sockets?.take(key)) ?? {}, key, address, deps)
  }
}

async function follow(
  plan: SocketPlan,
  key: string,
  address: SocketAddress,
  deps: SocketDeps,
): Promise<OpenListener> {
  const { open, sockets } = deps
  const { inherited: [first, ...more] = [], reusePort } = plan
  if (reusePort !== undefined) {
    const { listener, isShared } = await bindBeside(address, reusePort.port, deps)
    const { handle, address: bound } = listener
    sockets?.opened?.(key, { handle, port: bound.port, isInherited: false, isShared })
    return listener
  }
  const listener = await open({ address, ...(first === undefined ? {} : { inherited: first }) })
  for (const [index, handle] of more.entries()) await listener.adopt(index + 1, handle)
  const { handle, address: bound } = listener
  const isInherited = first !== undefined
  sockets?.opened?.(key, { handle, port: bound.port, isInherited, isShared: !isInherited })
  return listener
}

/** @param port Where others listen; `undefined`: nobody does, and nobody else must. */
async function bindBeside(
  address: SocketAddress,
  port: number | undefined,
  { open, transport }: SocketDeps,
): Promise<{ listener: OpenListener; isShared: boolean }> {
  if (port !== undefined) {
    const listener = await open({ address: { ...address, port }, reusePort: true })
    return { listener, isShared: false }
  }
  // There is one of a path.
  if (isUnixSocket(address)) return { listener: await open({ address }), isShared: true }
  const probe = await transport.listen({ address }, (socket) => {
    socket.reset()
    return NOBODY
  })
  await probe.close()
  const own = { ...address, port: probe.address.port }
  try {
    return { listener: await open({ address: own, reusePort: true }), isShared: false }
  } catch {
    // Not every system spreads connections over several sockets.
    return { listener: await open({ address: own }), isShared: true }
  }
}

const NOBODY: SocketHandler = {
  onOpen() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}

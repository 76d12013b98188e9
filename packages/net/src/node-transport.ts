/**
 * TCP, and Unix sockets, over public `node:net`: what runs when the handle transport's self-test
 * fails. Outgoing connections read through `onread` into a buffer of their own;
 * accepted ones have no such public option and take `data` events.
 */
import { rename } from 'node:fs/promises'
import {
  createServer,
  type Socket as NetSocket,
  connect as netConnect,
  type Server,
} from 'node:net'
import { isUnixSocket, type SocketAddress } from '@weft/model'
import type {
  AcceptedSocket,
  Listening,
  ListenOptions,
  Socket,
  SocketHandler,
  Transport,
} from './transport.ts'

const READ_BYTES = 65_536

export function createNodeTransport(): Transport {
  return { name: 'node', listen, connect }
}

function listen(
  options: ListenOptions,
  accept: (socket: AcceptedSocket) => SocketHandler,
): Promise<Listening> {
  const isUnix = isUnixSocket(options.address)
  const server = createServer(
    { allowHalfOpen: true, noDelay: true, pauseOnConnect: false },
    (net) => {
      const socket = new NodeSocket(net, isUnix)
      if (isUnix) socket.readdress(THIS_HOST, options.address)
      socket.handler = accept(socket)
      net.on('data', (bytes: Buffer) => socket.received(bytes, bytes.length))
    },
  )
  const { host, port } = options.address
  if (isUnix && options.inherited === undefined) return listenUnix(server, options.address)
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const { backlog = 4_096, reusePort = false } = options
    const where = options.inherited ?? { host, port, backlog, reusePort }
    server.listen(where, () => {
      server.off('error', reject)
      // A failed accept (out of descriptors) must not end the process.
      server.on('error', () => undefined)
      const bound = server.address()
      const actual = typeof bound === 'object' && bound !== null ? bound.port : port
      resolve({
        address: { host, port: actual },
        handle: server,
        // Resolves at once: `close` of node:net waits for all connections, ours does not.
        close: async () => void server.close(),
      })
    })
  })
}

/** Who connects to a Unix socket has no address, but is on this machine. */
const THIS_HOST: SocketAddress = { host: '127.0.0.1', port: 0 }

/** Abstract names begin with a zero byte. */
function pathOf({ host }: SocketAddress): string {
  return host.startsWith('@') ? `\0${host.slice(1)}` : host
}

let sockets = 0

/**
 * Binds beside the path and moves the socket there: so one that a dead process left gives way,
 * and closing removes none, which another process may have taken over. Rejects with
 * `EADDRINUSE` when somebody listens.
 */
async function listenUnix(server: Server, address: SocketAddress): Promise<Listening> {
  const path = pathOf(address)
  const isFile = address.host.startsWith('/')
  if (isFile && (await isAnswered(path))) {
    throw Object.assign(new Error(`listen on ${path}: EADDRINUSE`), { code: 'EADDRINUSE' })
  }
  const own = isFile ? `${path}.${process.pid}-${sockets++}` : path
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ path: own, backlog: 4_096 }, () => {
      server.off('error', reject)
      server.on('error', () => undefined)
      resolve()
    })
  })
  if (isFile) {
    try {
      await rename(own, path)
    } catch (error) {
      server.close()
      throw error
    }
  }
  return { address, handle: server, close: async () => void server.close() }
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = netConnect({ path })
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}

function connect(address: SocketAddress, handler: SocketHandler): Socket {
  let socket: NodeSocket | undefined
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  const isUnix = isUnixSocket(address)
  const net = netConnect({
    ...(isUnix ? { path: pathOf(address) } : { host: address.host, port: address.port }),
    allowHalfOpen: true,
    noDelay: true,
    onread: {
      buffer,
      callback: (length) => {
        socket?.received(buffer, length)
        return true
      },
    },
  })
  socket = new NodeSocket(net, isUnix)
  if (isUnix) socket.readdress(address, THIS_HOST)
  socket.handler = handler
  net.once('connect', () => {
    if (socket?.closed === false) socket.handler.onOpen()
  })
  return socket
}

class NodeSocket implements AcceptedSocket {
  handler: SocketHandler = NOBODY
  closed = false
  readonly #net: NetSocket
  readonly #isUnix: boolean
  #error: Error | undefined
  directAddress: SocketAddress | undefined
  #remote: SocketAddress | undefined
  #local: SocketAddress | undefined

  constructor(net: NetSocket, isUnix: boolean) {
    this.#net = net
    this.#isUnix = isUnix
    net.on('end', () => {
      if (!this.closed) this.handler.onEnd()
    })
    net.on('drain', () => {
      if (!this.closed) this.handler.onDrain()
    })
    net.on('error', (error) => {
      this.#error ??= error
    })
    net.on('close', () => {
      this.closed = true
      this.handler.onClose(this.#error)
    })
  }

  received(bytes: Uint8Array, length: number): void {
    if (!this.closed) this.handler.onData(bytes, length)
  }

  readdress(remote: SocketAddress, local: SocketAddress): void {
    // Of a unix socket the kernel knows none.
    if (this.#net.remoteAddress !== undefined) this.directAddress ??= this.remoteAddress
    this.#remote = remote
    this.#local = local
  }

  get remoteAddress(): SocketAddress {
    if (this.#remote !== undefined) return this.#remote
    return { host: plain(this.#net.remoteAddress), port: this.#net.remotePort ?? 0 }
  }

  get localAddress(): SocketAddress {
    if (this.#local !== undefined) return this.#local
    return { host: plain(this.#net.localAddress), port: this.#net.localPort ?? 0 }
  }

  get pendingBytes(): number {
    return this.#net.writableLength
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed || bytes.length === 0) return true
    const ready = this.#net.write(bytes)
    // Nothing left in the stream: the kernel took it at once.
    if (this.#net.writableLength === 0) return true
    // `drain` comes only after `write` said false; below its mark a callback stands in.
    if (ready) this.#net.write('', () => this.#drained())
    return false
  }

  #drained(): void {
    if (!this.closed && this.#net.writableLength === 0) this.handler.onDrain()
  }

  pause(): void {
    this.#net.pause()
  }

  resume(): void {
    this.#net.resume()
  }

  /** Reads of this transport never share a buffer across a pending write in a way we control. */
  bulkReads(on: boolean): boolean {
    return !on
  }

  end(): void {
    if (!this.closed) this.#net.end()
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#net.destroy()
  }

  reset(): void {
    if (this.closed) return
    this.closed = true
    // Only TCP knows a reset.
    if (this.#isUnix) this.#net.destroy()
    else this.#net.resetAndDestroy()
  }
}

const NOBODY: SocketHandler = {
  onOpen() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}

/** IPv4 peers of a dual-stack listener are shown as IPv4. */
function plain(host: string | undefined): string {
  if (host === undefined) return ''
  return host.startsWith('::ffff:') ? host.slice(7) : host
}

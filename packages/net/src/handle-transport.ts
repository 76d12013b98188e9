/**
 * The fast path: TCP over Node's own stream handles, without `net.Socket` and its
 * stream state machines (measured: 0.7 to 2.5 us less CPU a request).
 *
 * `process.binding` is internal to Node. This is the only file of Weft that
 * touches it (TLS gets what it needs by `takeHandle`); `pick-transport.ts` tests at start that it behaves as written here
 * and falls back to public API when it does not.
 *
 * What libuv promises and this file relies on: `writeBuffer` first tries to write
 * at once; only when the kernel would block does the request object, and the
 * buffer, belong to libuv until `oncomplete`. Reads fill the buffer given to
 * `useUserBuffer`, or the one the previous `onread` call returned.
 */
import { isUnixSocket, type SocketAddress } from '@weft/model'
import { createNodeTransport } from './node-transport.ts'
import {
  type BulkBuffer,
  holdForWrite,
  letGoAfterWrite,
  releaseBulkBuffer,
  SHARED_READ_BYTES,
  takeBulkBuffer,
} from './read-buffers.ts'
import { systemError } from './system-error.ts'
import type {
  AcceptedSocket,
  Listening,
  ListenOptions,
  Socket,
  SocketHandler,
  Transport,
} from './transport.ts'
import { writeIsOver } from './write-memory.ts'

interface Handle {
  onread: () => Uint8Array | undefined
  onconnection: (status: number, client: Handle | undefined) => void
  owner: HandleSocket
  bind(host: string, port: number, flags: number): number
  bind6(host: string, port: number, flags: number): number
  listen(backlog: number): number
  connect(request: Request, host: string, port: number): number
  connect6(request: Request, host: string, port: number): number
  getsockname(into: NameOut): number
  getpeername(into: NameOut): number
  setNoDelay(on: boolean): number
  useUserBuffer(buffer: Uint8Array): void
  readStart(): number
  readStop(): number
  writeBuffer(request: Request, bytes: Uint8Array): number
  shutdown(request: Request): number
  reset(closed: () => void): number
  close(closed: () => void): void
}

interface NameOut {
  address?: string
  port?: number
}

export interface HandleRequest {
  oncomplete: (status: number) => void
  socket: HandleSocket | undefined
  /** Keeps the memory alive while libuv owns it. */
  bytes: Uint8Array | undefined
}
type Request = HandleRequest

export interface HandleInternals {
  readonly TCP: new (type: number) => Handle
  readonly TCPConnectWrap: new () => Request
  readonly WriteWrap: new () => Request
  readonly ShutdownWrap: new () => Request
  readonly SOCKET: number
  readonly SERVER: number
  readonly REUSEPORT: number
  /** What the last read or write did, at the two indexes below. */
  readonly state: Int32Array
  readonly readResult: number
  readonly lastWriteWasAsync: number
}
type Internals = HandleInternals

const EOF = -4095

export interface HandleTransportOptions {
  /** TLS takes Node's handles over after the handshake; false: it stays with Node's streams. */
  readonly tlsTakeover?: boolean
}

/** A connected socket's own handle, for a layer above that takes over. */
export interface TakenHandle {
  readonly handle: object
  readonly internals: HandleInternals
  /** All reads of the thread go in here. */
  readonly shared: Buffer
}

/** @throws {Error} When this Node has no such internals. */
export function createHandleTransport({
  tlsTakeover = true,
}: HandleTransportOptions = {}): Transport {
  const internals = loadInternals()
  const shared = Buffer.allocUnsafeSlow(SHARED_READ_BYTES)
  const io = new HandleIo(internals, shared, tlsTakeover)
  // Another kind of handle, and none of the hot paths.
  const unix = createNodeTransport()
  return {
    name: 'handle',
    listen: (options, accept) =>
      isUnixSocket(options.address) ? unix.listen(options, accept) : listen(io, options, accept),
    connect: (address, handler) =>
      isUnixSocket(address) ? unix.connect(address, handler) : connect(io, address, handler),
  }
}

function loadInternals(): Internals {
  const { binding } = process as unknown as { binding(name: string): Record<string, unknown> }
  // DEP0111 is a notice to application authors; the self-test is our answer to it.
  const noDeprecation = process.noDeprecation
  process.noDeprecation = true
  try {
    const tcp = binding.call(process, 'tcp_wrap')
    const stream = binding.call(process, 'stream_wrap')
    const constants = tcp.constants as Record<string, number>
    return {
      TCP: tcp.TCP,
      TCPConnectWrap: tcp.TCPConnectWrap,
      WriteWrap: stream.WriteWrap,
      ShutdownWrap: stream.ShutdownWrap,
      SOCKET: constants.SOCKET,
      SERVER: constants.SERVER,
      REUSEPORT: constants.UV_TCP_REUSEPORT ?? 0,
      state: stream.streamBaseState,
      readResult: stream.kReadBytesOrError,
      lastWriteWasAsync: stream.kLastWriteWasAsync,
    } as Internals
  } finally {
    process.noDeprecation = noDeprecation ?? false
  }
}

/** What all sockets of one transport share. */
class HandleIo {
  readonly internals: Internals
  readonly shared: Buffer
  readonly tlsTakeover: boolean
  /** Reused until a write stays pending and takes it along. */
  writeRequest: Request

  constructor(internals: Internals, shared: Buffer, tlsTakeover: boolean) {
    this.internals = internals
    this.shared = shared
    this.tlsTakeover = tlsTakeover
    this.writeRequest = new internals.WriteWrap()
  }
}

async function listen(
  io: HandleIo,
  options: ListenOptions,
  accept: (socket: AcceptedSocket) => SocketHandler,
): Promise<Listening> {
  const { internals } = io
  const { host, port } = options.address
  const where = `listen on ${host}:${port}`
  const inherited = options.inherited as Handle | undefined
  const handle = inherited ?? new internals.TCP(internals.SERVER)
  const flags = options.reusePort === true ? internals.REUSEPORT : 0
  const bound =
    inherited !== undefined
      ? 0
      : host.includes(':')
        ? handle.bind6(host, port, flags)
        : handle.bind(host, port, flags)
  const failed = bound !== 0 ? bound : handle.listen(options.backlog ?? 4_096)
  if (failed !== 0) {
    handle.close(() => undefined)
    throw systemError(where, failed)
  }
  handle.onconnection = (status, client) => {
    // Out of descriptors: libuv has dropped the connection; nothing is left to do.
    if (status !== 0 || client === undefined) return
    const socket = new HandleSocket(io, client)
    socket.handler = accept(socket)
    socket.start()
  }
  const name: NameOut = {}
  handle.getsockname(name)
  let closing: Promise<void> | undefined
  return {
    address: { host, port: name.port ?? port },
    handle,
    close() {
      closing ??= new Promise((resolve) => handle.close(resolve))
      return closing
    },
  }
}

function connect(io: HandleIo, address: SocketAddress, handler: SocketHandler): Socket {
  const { internals } = io
  const handle = new internals.TCP(internals.SOCKET)
  const socket = new HandleSocket(io, handle)
  socket.handler = handler
  const request = new internals.TCPConnectWrap()
  request.oncomplete = (status) => socket.connected(status, address)
  const { host, port } = address
  const failed = host.includes(':')
    ? handle.connect6(request, host, port)
    : handle.connect(request, host, port)
  if (failed !== 0) socket.fail(systemError(`connect to ${host}:${port}`, failed))
  return socket
}

const NOWHERE: SocketAddress = { host: '', port: 0 }

class HandleSocket implements AcceptedSocket {
  handler: SocketHandler = NOBODY
  pendingBytes = 0
  closed = false
  readonly #io: HandleIo
  readonly #handle: Handle
  #paused = false
  #started = false
  /** Wanted from the next read but one on, at the latest. */
  #bulk: BulkBuffer | undefined
  #bulkOff = false
  /** What libuv reads into; absent: the shared one. It hears of another only by `onread`. */
  #filling: BulkBuffer | undefined
  directAddress: SocketAddress | undefined
  #remote: SocketAddress | undefined
  #local: SocketAddress | undefined

  constructor(io: HandleIo, handle: Handle) {
    this.#io = io
    this.#handle = handle
    handle.owner = this
    handle.onread = onread
  }

  /** Begins to read, unless paused before. */
  start(): void {
    if (this.closed) return
    this.#started = true
    this.#handle.setNoDelay(true)
    this.#handle.useUserBuffer(this.#io.shared)
    if (!this.#paused) this.#handle.readStart()
  }

  connected(status: number, address: SocketAddress): void {
    if (this.closed) return
    if (status !== 0) {
      this.fail(systemError(`connect to ${address.host}:${address.port}`, status))
      return
    }
    this.start()
    this.handler.onOpen()
  }

  /** One read finished; says which buffer the next one fills, `undefined` for the same. */
  read(): Uint8Array | undefined {
    const io = this.#io
    const length = io.internals.state[io.internals.readResult] ?? 0
    if (this.closed) return undefined
    if (length > 0) {
      const filled = this.#filling
      this.handler.onData(filled?.bytes ?? io.shared, length)
      if (filled === this.#bulk && !this.#bulkOff) return undefined
      return this.#nextBuffer()
    }
    if (length === EOF) this.handler.onEnd()
    else if (length < 0) this.fail(systemError('read', length))
    return undefined
  }

  #nextBuffer(): Uint8Array {
    if (this.#bulkOff) {
      this.#bulkOff = false
      this.#releaseBulk()
    }
    this.#filling = this.#bulk
    return this.#filling?.bytes ?? this.#io.shared
  }

  bulkReads(on: boolean): boolean {
    if (on) {
      this.#bulkOff = false
      this.#bulk ??= takeBulkBuffer()
      return this.#bulk !== undefined
    }
    // Not at once: the bytes being delivered lie in it, and libuv reads into it until told otherwise.
    if (this.#bulk !== undefined) this.#bulkOff = true
    return true
  }

  #releaseBulk(): void {
    if (this.#bulk === undefined) return
    releaseBulkBuffer(this.#bulk)
    this.#bulk = undefined
  }

  write(bytes: Uint8Array): boolean {
    if (this.closed || bytes.length === 0) return true
    const io = this.#io
    const request = io.writeRequest
    const failed = this.#handle.writeBuffer(request, bytes)
    if (failed !== 0) {
      this.fail(systemError('write', failed))
      return true
    }
    if (io.internals.state[io.internals.lastWriteWasAsync] === 0) return true
    io.writeRequest = new io.internals.WriteWrap()
    request.oncomplete = onwritten
    request.socket = this
    request.bytes = bytes
    this.pendingBytes += bytes.length
    holdForWrite(bytes)
    return false
  }

  written(bytes: number, status: number): void {
    this.pendingBytes -= bytes
    if (this.closed) return
    if (status !== 0) this.fail(systemError('write', status))
    else if (this.pendingBytes === 0) this.handler.onDrain()
  }

  pause(): void {
    if (this.#paused) return
    this.#paused = true
    if (this.#started && !this.closed) this.#handle.readStop()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    if (this.#started && !this.closed) this.#handle.readStart()
  }

  end(): void {
    if (this.closed) return
    const request = new this.#io.internals.ShutdownWrap()
    // A failed shutdown means the peer is gone, which the next read reports.
    request.oncomplete = () => undefined
    this.#handle.shutdown(request)
  }

  close(): void {
    this.#close(undefined)
  }

  reset(): void {
    if (this.closed) return
    this.closed = true
    const failed = this.#handle.reset(() => this.#gone(undefined))
    if (failed !== 0) this.#handle.close(() => this.#gone(undefined))
  }

  fail(error: Error): void {
    this.#close(error)
  }

  /** Nothing is reported from now on; the handle is somebody else's. */
  take(): TakenHandle | undefined {
    const { internals, shared, tlsTakeover } = this.#io
    if (this.closed || !tlsTakeover || this.pendingBytes > 0) return undefined
    this.closed = true
    this.#handle.readStop()
    this.#releaseBulk()
    return { handle: this.#handle, internals, shared }
  }

  #close(error: Error | undefined): void {
    if (this.closed) return
    this.closed = true
    this.#handle.close(() => this.#gone(error))
  }

  #gone(error: Error | undefined): void {
    this.#releaseBulk()
    this.handler.onClose(error)
  }

  readdress(remote: SocketAddress, local: SocketAddress): void {
    this.directAddress ??= this.remoteAddress
    this.#remote = remote
    this.#local = local
  }

  get remoteAddress(): SocketAddress {
    if (this.#remote !== undefined || this.closed) return this.#remote ?? NOWHERE
    const name: NameOut = {}
    this.#handle.getpeername(name)
    this.#remote = plainAddress(name)
    return this.#remote
  }

  get localAddress(): SocketAddress {
    if (this.#local !== undefined || this.closed) return this.#local ?? NOWHERE
    const name: NameOut = {}
    this.#handle.getsockname(name)
    this.#local = plainAddress(name)
    return this.#local
  }
}

/** `undefined`: not a socket of this transport, or it keeps its handle. */
export function takeHandle(socket: Socket): TakenHandle | undefined {
  return socket instanceof HandleSocket ? socket.take() : undefined
}

/** Between construction and the first assignment of a handler. */
const NOBODY: SocketHandler = {
  onOpen() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onClose() {},
}

function onread(this: Handle): Uint8Array | undefined {
  return this.owner.read()
}

function onwritten(this: Request, status: number): void {
  const { socket, bytes } = this
  this.socket = undefined
  this.bytes = undefined
  if (bytes === undefined) return
  letGoAfterWrite(bytes)
  writeIsOver(bytes)
  socket?.written(bytes.length, status)
}

/** IPv4 peers of a dual-stack listener are shown as IPv4. */
function plainAddress(name: NameOut): SocketAddress {
  const host = name.address ?? ''
  return { host: host.startsWith('::ffff:') ? host.slice(7) : host, port: name.port ?? 0 }
}

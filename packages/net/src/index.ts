export { ADMIN_HEADERS, AdminAccess, foreignCall } from './admin-access.ts'
export { type Fetched, type FetchRules, guardedFetch } from './guarded-fetch.ts'
export { createHandleTransport } from './handle-transport.ts'
export { createMemoryTransport, type MemoryOptions } from './memory-transport.ts'
export { createNodeTransport } from './node-transport.ts'
export { openFileLimit } from './open-file-limit.ts'
export { type PickedTransport, pickTransport } from './pick-transport.ts'
export { type Resolve, resolveHost } from './resolve.ts'
export { type Timed, TimerWheel } from './timer-wheel.ts'
export { acceptTls } from './tls/accept.ts'
export { DuplexOverSocket } from './tls/duplex-over-socket.ts'
export { type ClientTls, PeerRefused, type ServerTls } from './tls/secure-socket.ts'
export {
  type ClientTlsContext,
  clientTlsContext,
  type ServerTlsContext,
  serverTlsContext,
} from './tls/tls-context.ts'
export type { PeerCertificate, TlsFacts } from './tls/tls-facts.ts'
export { connectTls, upgradeToTls } from './tls/upgrade.ts'
export type {
  AcceptedSocket,
  Listening,
  ListenOptions,
  Socket,
  SocketHandler,
  Transport,
  TransportName,
} from './transport.ts'
export { giveWriteMemory, giveWriteMemoryLater, takeWriteMemory } from './write-memory.ts'

/**
 * The ADS server on bare `node:http2`. A push and its ACK cost 1.2 to 1.3 times what `node:http2` alone
 * takes for the same bytes (`npm run bench -- xds`), a tenth of grpc-js with encoding per client.
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs'
import type {
  Http2SecureServer,
  Http2Server,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from 'node:http2'
import type { Logger } from '@weft/base'
import type { ResourceSet } from '@weft/model'
import { HEALTH_TYPE_URL } from '../type-urls.ts'
import { Admission } from './admission.ts'
import type {
  AdsServer,
  AdsServerDeps,
  AdsServerOptions,
  ListenTarget,
  XdsTls,
} from './ads-server.ts'
import type { ConnectionStatus } from './ads-status.ts'
import { Connection, type ConnectionDeps } from './connection.ts'
import { statusOf } from './connection-status.ts'
import { GRPC_STATUS, refuseCall } from './grpc-call.ts'
import { ISSUE_JWT } from './identity-service.ts'
import { contextOf, openPlaintext, openSecure } from './open-http2.ts'
import { peerOf } from './peer.ts'
import { Quarantine } from './quarantine.ts'
import type { Answered } from './receive.ts'
import { Registry } from './registry.ts'
import { ResponseFrames } from './response-frames.ts'
import { CREATE_CERTIFICATE, sideServices } from './side-services.ts'
import { markChanged } from './stream-state.ts'

const SERVICE = '/envoy.service.discovery.v3.AggregatedDiscoveryService'
const SECRETS = '/envoy.service.secret.v3.SecretDiscoveryService'
const PROTOCOLS: {
  readonly [serves in 'ads' | 'sds']: { readonly [path: string]: 'sotw' | 'delta' }
} = {
  ads: {
    [`${SERVICE}/StreamAggregatedResources`]: 'sotw',
    [`${SERVICE}/DeltaAggregatedResources`]: 'delta',
  },
  sds: { [`${SECRETS}/StreamSecrets`]: 'sotw', [`${SECRETS}/DeltaSecrets`]: 'delta' },
}

/** A push to thousands is cut into slices of this many streams, so that ACKs are read between them. */
const SLICE = 200
/** A client that keeps its first answers back does not keep its place for ever. */
const INITIAL_PUSH_MS = 5_000
const KEEPALIVE_MS = 30_000
/** R67: who is let in by TLS has this long to say who they are. */
const STRANGER_MS = 10_000
/** R9, O10: an answer that takes this long is worth a line, not a closed stream. */
const LATE_ANSWER_MS = 30_000

export function openAdsServer(options: AdsServerOptions, deps: AdsServerDeps): AdsServer {
  return new Server(options, deps)
}

class Server implements AdsServer {
  readonly #deps: AdsServerDeps
  readonly #log: Logger
  readonly #serves: 'ads' | 'sds'
  readonly #registry: Registry
  readonly #frames = new ResponseFrames()
  readonly #quarantine: Quarantine
  readonly #sideServices: ReturnType<typeof sideServices>
  readonly #admission: Admission<Connection>
  readonly #servers = new Set<Http2Server | Http2SecureServer>()
  readonly #secure = new Set<Http2SecureServer>()
  /** Sessions that nobody has vouched for yet: how not to end them. */
  readonly #strangers = new Map<ServerHttp2Session, () => void>()
  readonly #sessions = new Set<ServerHttp2Session>()
  /** Streams that have said who they are. */
  readonly #connections = new Set<Connection>()
  readonly #byView = new Map<string, Set<Connection>>()
  readonly #queue: Connection[] = []
  readonly #connectionDeps: ConnectionDeps
  readonly #stats = { pushes: 0, acks: 0, nacks: 0, bytesSent: 0 }
  #draining = false
  #closed = false
  #nextId = 1
  #cancelLateCheck: (() => void) | undefined

  constructor(options: AdsServerOptions, deps: AdsServerDeps) {
    this.#deps = deps
    this.#log = deps.log
    this.#serves = options.serves ?? 'ads'
    this.#quarantine = new Quarantine(options.quarantineAfter ?? 3)
    this.#registry = new Registry(deps.clock, this.#quarantine)
    this.#admission = new Admission(options.maxInitialPushes ?? 64, options.maxWaiting ?? 20_000)
    this.#connectionDeps = {
      clock: deps.clock,
      frames: this.#frames,
      quarantine: this.#quarantine,
      viewOf: (key) => this.#registry.view(key),
      onNode: (connection) => this.#introduce(connection),
      takesRequest: (connection, typeUrl, error) => this.#takeHealth(connection, typeUrl, error),
      onAnswer: (connection, typeUrl, answered) => {
        const { names, error } = answered
        if (error === undefined) this.#stats.acks++
        else this.#refused(connection, typeUrl, answered, error)
        const { node } = connection
        if (node !== undefined) {
          deps.onAnswer?.({
            connectionId: connection.id,
            node,
            typeUrl,
            names,
            ...(error !== undefined && { error }),
          })
        }
        if (connection.cancelPlace !== undefined) this.#settleAdmission(connection)
      },
      onSent: (bytes) => {
        this.#stats.pushes++
        this.#stats.bytesSent += bytes
      },
      onEnd: (connection) => this.#gone(connection),
    }
    this.#sideServices = sideServices({
      clock: deps.clock,
      connections: () => this.connections(),
      contentOf: (view, typeUrl, name, version) => {
        const served = this.#registry.view(view)?.get(typeUrl, name)
        return served?.version === version ? served.bytes : undefined
      },
      loadReportIntervalMs: options.loadReportIntervalMs ?? 10_000,
      onLoad: (node, reports) => deps.onLoad?.(node, reports),
      onRateLimit: deps.onRateLimit,
      onRateLimitReturn: deps.onRateLimitReturn,
      onCertificate: deps.onCertificate,
      identities: deps.identities,
    })
    this.#watchLateAnswers()
  }

  publish(key: string, set: ResourceSet, generation: string): void {
    const isNew = this.#registry.view(key) === undefined
    const changes = this.#registry.publish(key, set, generation)
    const view = this.#registry.view(key)
    for (const connection of this.#byView.get(key) ?? []) {
      let due = isNew
      for (const [typeUrl, names] of changes) {
        if (markChanged(connection.state, typeUrl, names)) due = true
      }
      if (due) this.#enqueue(connection)
      else if (view !== undefined) connection.noteGeneration(view)
    }
  }

  drop(key: string): void {
    this.#registry.drop(key)
  }

  setTls(tls: XdsTls): void {
    for (const server of this.#secure) server.setSecureContext(contextOf(tls))
  }

  #openSecure(tls: XdsTls): Http2SecureServer {
    const server = openSecure(tls)
    this.#secure.add(server)
    // Scanners, clients that believe another CA: ordinary, and theirs to tell.
    server.on('tlsClientError', (error: Error) => {
      this.#log.debug('xDS handshake failed', { error })
    })
    return server
  }

  /** Somebody was told something on this session: it may stay. */
  #vouchFor(session: ServerHttp2Session | undefined): void {
    if (session === undefined) return
    this.#strangers.get(session)?.()
    this.#strangers.delete(session)
  }

  listen(target: ListenTarget, tls?: XdsTls): Promise<ListenTarget> {
    const server = tls === undefined ? openPlaintext() : this.#openSecure(tls)
    this.#servers.add(server)
    server.on('session', (session) => {
      this.#sessions.add(session)
      session.on('close', () => {
        this.#sessions.delete(session)
        this.#vouchFor(session)
      })
      session.on('error', () => {})
      if (tls === undefined) return
      const cancel = this.#deps.clock.after(STRANGER_MS, () => session.destroy())
      this.#strangers.set(session, cancel)
    })
    server.on('connection', (socket) => socket.setKeepAlive(true, KEEPALIVE_MS))
    server.on('stream', (stream, headers) => {
      this.#accept(stream as ServerHttp2Stream, headers)
    })
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      if ('path' in target) {
        removeStaleSocket(target.path)
        server.listen(target.path, () => {
          // The socket is the way in for whoever may write to it: the owner and their group.
          chmodSync(target.path, target.mode ?? 0o660)
          resolve(target)
        })
        return
      }
      server.listen(target.port, target.host, () => {
        const bound = server.address()
        const port = typeof bound === 'object' && bound !== null ? bound.port : target.port
        resolve({ host: target.host, port })
      })
    })
  }

  connections(): ConnectionStatus[] {
    return [...this.#connections].flatMap((connection) => {
      const { node } = connection
      if (node === undefined) return []
      const { viewKey } = connection
      return [statusOf(connection, node, viewKey, this.#registry.view(viewKey), this.#quarantine)]
    })
  }

  connectionIds(): number[] {
    return [...this.#connections].map(({ id }) => id)
  }

  quarantined() {
    return this.#quarantine.list()
  }

  methods(): readonly string[] {
    const side = this.#serves === 'ads' ? this.#sideServices.keys() : []
    return [...Object.keys(PROTOCOLS[this.#serves]), ...side]
  }

  stats() {
    return { connections: this.#connections.size, ...this.#stats }
  }

  async close(graceMs = 0): Promise<void> {
    this.#draining = true
    this.#cancelLateCheck?.()
    const servers = [...this.#servers].map(
      (server) => new Promise<void>((resolve) => server.close(() => resolve())),
    )
    for (const session of this.#sessions) session.close()
    const connections = [...this.#connections]
    await new Promise<void>((resolve) => {
      if (graceMs === 0 || connections.length === 0) {
        resolve()
        return
      }
      // Spread out, so that the clients do not all come back in the same moment.
      for (const [index, connection] of connections.entries()) {
        const delayMs = (graceMs * index) / connections.length
        this.#deps.clock.after(delayMs, () => this.#sendAway(connection))
      }
      this.#deps.clock.after(graceMs, resolve)
    })
    for (const connection of connections) this.#sendAway(connection)
    // One turn of the loop for the trailers, then whatever is left is cut.
    await new Promise<void>((resolve) => setImmediate(resolve))
    this.#closed = true
    for (const session of this.#sessions) session.destroy()
    await Promise.all(servers)
  }

  #sendAway(connection: Connection): void {
    connection.end(GRPC_STATUS.unavailable, 'the control plane is going away')
  }

  #accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const path = headers[':path'] ?? ''
    const service = this.#deps.services?.get(path)
    if (service !== undefined && !this.#draining) {
      service(stream, headers)
      return
    }
    const protocol = PROTOCOLS[this.#serves][path]
    const sideService = this.#serves === 'ads' ? this.#sideServices.get(path) : undefined
    const peer = peerOf(stream, headers.authorization)
    // These two judge the proof themselves: it may be one that is good only once.
    const isOpenToAll = path === CREATE_CERTIFICATE || path === ISSUE_JWT
    const refusal = isOpenToAll ? undefined : this.#deps.admit?.(peer)
    if (refusal !== undefined) {
      refuseCall(stream, GRPC_STATUS.unauthenticated, refusal)
      return
    }
    if (!isOpenToAll) this.#vouchFor(stream.session as ServerHttp2Session | undefined)
    if (sideService !== undefined && !this.#draining) {
      sideService(stream, peer)
    } else if (protocol === undefined) {
      refuseCall(stream, GRPC_STATUS.unimplemented, `no ${path}`)
    } else if (this.#draining || this.#deps.isReady?.() === false) {
      refuseCall(stream, GRPC_STATUS.unavailable, 'not ready')
    } else {
      new Connection(this.#nextId++, protocol, stream, peer, this.#connectionDeps)
    }
  }

  #introduce(connection: Connection): string | undefined {
    const { node } = connection
    if (node === undefined) return 'no node'
    const refusal = this.#deps.refuse?.(node, connection.peer)
    if (refusal !== undefined) return refusal
    this.#connections.add(connection)
    this.#log.info('xDS stream', {
      node: node.id,
      kind: connection.kind,
      protocol: connection.protocol,
    })
    this.#deps.onNode?.(node, connection.id)
    connection.viewKey = this.#deps.viewOf(node)
    const sharers = this.#byView.get(connection.viewKey) ?? new Set()
    this.#byView.set(connection.viewKey, sharers.add(connection))
    const place = this.#admission.ask(connection)
    if (place === 'refused') {
      connection.end(GRPC_STATUS.resourceExhausted, 'too many streams wait for their first push')
    }
    if (place === 'admitted') this.#admit(connection)
    return undefined
  }

  #admit(connection: Connection): void {
    connection.admitted = true
    connection.cancelPlace = this.#deps.clock.after(INITIAL_PUSH_MS, () => this.#handOn(connection))
    this.#enqueue(connection)
  }

  /** The first push is over when all that was sent first has been answered. */
  #settleAdmission(connection: Connection): void {
    for (const { inFlight } of connection.state.active) if (inFlight !== undefined) return
    this.#handOn(connection)
  }

  #handOn(connection: Connection): void {
    connection.cancelPlace?.()
    connection.cancelPlace = undefined
    const next = this.#admission.release(connection)
    if (next !== undefined) this.#admit(next)
  }

  #takeHealth(connection: Connection, typeUrl: string, error: string | undefined): boolean {
    if (typeUrl !== HEALTH_TYPE_URL) return false
    const { node, id } = connection
    if (node !== undefined) this.#deps.onHealth?.(node, error === undefined, error ?? '', id)
    return true
  }

  #refused(connection: Connection, typeUrl: string, answered: Answered, message: string): void {
    const { kind, node: { id: node = '' } = {} } = connection
    this.#stats.nacks++
    this.#log.warn('xDS response refused', { node, typeUrl, names: answered.names, error: message })
    for (const { name, version } of answered.blamed) {
      const refusal = { kind, typeUrl, name, version, node, message }
      if (!this.#quarantine.refused(refusal, this.#deps.clock.nowMs())) continue
      this.#log.error('xDS resource held back: too many nodes refuse it', { ...refusal })
    }
  }

  #gone(connection: Connection): void {
    this.#handOn(connection)
    if (!this.#connections.delete(connection)) return
    const { node, viewKey } = connection
    const sharers = this.#byView.get(viewKey)
    sharers?.delete(connection)
    if (sharers?.size === 0) this.#byView.delete(viewKey)
    if (node !== undefined) this.#deps.onGone?.(node, connection.id)
  }

  /** Each stream at most once; what changes meanwhile goes out in the same push. */
  #enqueue(connection: Connection): void {
    if (connection.queued) return
    connection.queued = true
    this.#queue.push(connection)
    if (this.#queue.length === 1) setImmediate(() => this.#drainQueue())
  }

  #drainQueue(): void {
    const slice = this.#queue.splice(0, SLICE)
    for (const connection of slice) {
      connection.queued = false
      connection.flush()
    }
    if (this.#queue.length > 0) setImmediate(() => this.#drainQueue())
  }

  #watchLateAnswers(): void {
    this.#cancelLateCheck = this.#deps.clock.after(LATE_ANSWER_MS, () => {
      if (this.#closed) return
      const lateBeforeMs = this.#deps.clock.monotonicMs() - LATE_ANSWER_MS
      for (const { node, state } of this.#connections) {
        for (const [typeUrl, { inFlight }] of state.types) {
          if (inFlight === undefined || inFlight.atMs > lateBeforeMs) continue
          this.#log.warn('xDS response not answered', { node: node?.id, typeUrl })
        }
      }
      this.#watchLateAnswers()
    })
  }
}

/** A socket file that a killed process left behind would make `listen` fail for ever. */
function removeStaleSocket(path: string): void {
  const isSocket = lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false
  if (isSocket) unlinkSync(path)
}

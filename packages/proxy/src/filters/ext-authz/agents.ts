/**
 * Connections to authorization services over HTTP: `node:http` speaks, over TCP or over what the
 * service's cluster wants of a connection (mutual TLS of the mesh, PROXY protocol).
 */
import type { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '@weft/base'
import type { Cluster, SocketAddress } from '@weft/model'
import { DuplexOverSocket, type Socket } from '@weft/net'
import type { EngineDeps } from '../../exchange/contract.ts'
import { connectUpstream } from '../../tls/connect-upstream.ts'

/** Less than servers wait by default, which is 5 s for Node's. */
const IDLE_MS = 4_000
const OPTIONS = { keepAlive: true, maxFreeSockets: 64 } as const

let plain: Agent | undefined
/** Other settings are another object, and get connections of their own. */
const secured = new WeakMap<Cluster, Agent>()

/** Not imported: as a module it would bring undici into every proxy. */
export function http() {
  return process.getBuiltinModule('node:http')
}

/** @param cluster As the endpoint is to be called, see `towards`. */
export function agentFor(cluster: Cluster, deps: EngineDeps): Agent {
  const { Agent: HttpAgent } = http()
  if (cluster.tls === undefined && cluster.proxyProtocol === undefined) {
    plain ??= new HttpAgent(OPTIONS)
    return plain
  }
  const known = secured.get(cluster)
  if (known !== undefined) return known
  const agent = new HttpAgent(OPTIONS)
  agent.createConnection = ({ host, port }, done) => {
    const address = { host: host ?? '', port: Number(port) }
    open(cluster, address, deps, (error, stream) => done?.(error, stream as Duplex))
    return undefined
  }
  secured.set(cluster, agent)
  return agent
}

function open(
  cluster: Cluster,
  address: SocketAddress,
  deps: EngineDeps,
  done: (error: Error | null, stream: Duplex | undefined) => void,
): void {
  const nothing = () => {}
  const socket: Socket = connectUpstream(
    cluster,
    address,
    {
      onOpen: () => done(null, new AgentStream(socket, deps.clock)),
      ...{ onData: nothing, onEnd: nothing, onDrain: nothing },
      onClose: (error) => done(error ?? new Error('the connection was closed'), undefined),
    },
    deps,
    {},
    'http/1.1',
  )
}

/** What an agent asks of a `net.Socket` beyond a stream's methods. */
class AgentStream extends DuplexOverSocket {
  readonly #clock: Clock
  #cancel: (() => void) | undefined

  constructor(socket: Socket, clock: Clock) {
    super(socket)
    this.#clock = clock
  }

  /** The agent puts it aside. */
  unref(): this {
    this.#cancel?.()
    this.#cancel = this.#clock.after(IDLE_MS, () => this.destroy())
    return this
  }

  /** The agent uses it again. */
  ref(): this {
    this.#cancel?.()
    this.#cancel = undefined
    return this
  }

  setKeepAlive(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setTimeout(): this {
    return this
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#cancel?.()
    super._destroy(error, done)
  }
}

/** What whoever starts a proxy gives it, and gets. */
import type { Clock, LogScopes } from '@weft/base'
import type { OfferedPort, ResourceSet, SocketAddress } from '@weft/model'
import type { Transport } from '@weft/net'
import type { ProxyView } from './admin/endpoint.ts'
import type { SharedLimits } from './filters/rate-limit/shared-limiter.ts'
import type { HandedSocket, ListeningSockets } from './upgrade/handed-sockets.ts'
import type { GrpcQuestion } from './upstream/grpc-call.ts'

export interface ProxyDeps {
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly logs: LogScopes
  /** Absent: the fastest that passes its self-test here. */
  readonly transport?: Transport
  /** Sockets of the process that this one succeeds, see `ProxyHandle.handOver`, or of its supervisor. */
  readonly handed?: ListeningSockets
  /** Starts a successor, with so many workers if that is to change; on `POST /upgrade`. */
  readonly onUpgrade?: (concurrency: number | undefined) => boolean
  /** Takes what changes something on the admin port; absent: one is made. */
  readonly adminToken?: string
  /** Why the last try at a successor failed. */
  readonly upgradeFailure?: () => string | undefined
  /**
   * Ends the process after the drain: with 0 on `POST /quitquitquit`, with 1 on an
   * error that nobody caught, which the proxy listens for when this is given.
   */
  readonly onQuit?: (exitCode: number) => void
  /** Sees each configuration before it is in force; what it gives back is. */
  readonly onConfiguration?: (set: ResourceSet) => ResourceSet
  /** It is one of several processes; the supervisor of them speaks for the proxy. */
  readonly worker?: { readonly limits: SharedLimits; onView(view: ProxyView): void }
}

export interface ProxyHandle {
  /** Resolves when the first configuration is in force and its listeners are open. */
  readonly ready: Promise<void>
  /** With the port the kernel chose. */
  readonly admin: SocketAddress | undefined
  /** Of the admin port: what it takes to change something there. */
  readonly adminToken: string | undefined
  readonly outbound: SocketAddress | undefined
  /** With the ports the kernel chose. */
  readonly offers: readonly OfferedPort[]
  /** Every open listener by name; addresses as bound. */
  listeners(): ReadonlyMap<string, SocketAddress>
  /** Goes on in new files after a rotation renamed the access logs. */
  reopenLogs(): Promise<void>
  /** Its listening sockets, admin's too, for a successor to accept on. */
  handOver(): readonly HandedSocket[]
  /** Once the successor is ready: takes nothing new, lets what runs end, then closes. */
  leave(): Promise<void>
  /** Reports unhealthy, lets what runs end, then closes. Resolves when closed. */
  drain(): Promise<void>
  /** Closes at once. */
  close(): Promise<void>
}

/** A proxy in this very process, as one beside an application is. */
export interface SingleProxy extends ProxyHandle {
  /**
   * Reports unhealthy, then stops to accept what comes in once callers have heard it. Resolves
   * when none of their requests runs any more, or took too long: the application may end.
   */
  drainInbound(): Promise<void>
  /** Why the application cannot be called; absent: it can. Where `ProxyOptions.appHealth` is `told`. */
  tellAppProblem(problem: string | undefined): void
  /**
   * Asks a gRPC service over one of its clusters.
   *
   * @returns Cancels; undefined: there is no such cluster. `done` gets `undefined` when nobody answered.
   */
  askCluster(
    cluster: string,
    question: GrpcQuestion,
    done: (message: Uint8Array | undefined) => void,
  ): (() => void) | undefined
}

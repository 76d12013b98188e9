/** What somebody decides when starting a proxy, with its defaults. */

import type { OfferedPort, ProxyRole, SocketAddress, Workload } from '@weft/model'
import type { ResourceSinkDeps } from '@weft/xds'
import type { TransportChoice } from './choose-transport.ts'
import type { ConfigFeed } from './config-feed.ts'
import type { IdentityOptions } from './identity/workload-identity.ts'
import type { OverloadOptions } from './overload/overload-options.ts'

export interface ProxyOptions {
  readonly role: ProxyRole
  readonly workload: Workload
  /**
   * Tells proxies of one workload apart, as pod names do; two that share it
   * replace each other. Default: the workload's name.
   */
  readonly instance?: string
  /** The address by which the mesh knows this proxy; becomes part of the node id. */
  readonly address: string
  readonly source: ConfigSource
  /**
   * The explicit HTTP proxy for the application (`HTTP_PROXY`). Opened before the
   * first configuration and held until then; port 0 asks the kernel.
   */
  readonly outbound?: SocketAddress
  /** How the proxy knows whether its application can be called; `told`: whoever embeds it says so. */
  readonly appHealth?: 'probed' | 'told'
  /**
   * Ports of the application that the mesh may call. Opened before the first
   * configuration; a `listenPort` of 0 is chosen by the kernel and announced.
   */
  readonly offers?: readonly OfferedPort[]
  /** Gateway: service port to the port that is bound in its place, e.g. `{"80": 8080}`. */
  readonly portMap?: Readonly<Record<string, number>>
  /** Host that listeners bind to in place of wildcard addresses, e.g. `127.0.0.1`. */
  readonly bindHost?: string
  /** Absent: no admin port. */
  readonly admin?: SocketAddress
  /** More metadata for the node, e.g. of an experiment. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Default: see `DEFAULT_TIMINGS`. */
  readonly timings?: Partial<ProxyTimings>
  readonly metrics?: { readonly maxSeries: number; readonly expiryMs: number }
  /** Whether peers are told who calls (`x-weft-peer`); default true. Never outside the mesh. */
  readonly tellPeer?: boolean
  /** Where the access log goes when a listener does not say; absent: only where it says. */
  readonly accessLog?: string
  /** Hosts whose key sets for tokens may be on loopback, or come in plaintext; default: none. */
  readonly keyHosts?: readonly string[]
  /** How it comes by a certificate of the mesh; absent: it has none, and speaks plaintext. */
  readonly identity?: IdentityOptions
  /** Unix socket by which the application has the proxy's identity; absent: there is none. */
  readonly workloadSocket?: string
  /** What it gives up when something runs out, see `DEFAULT_OVERLOAD`; absent: nothing. */
  readonly overload?: OverloadOptions
  /** Of the program, for `/server_info` and `istio_build`. */
  readonly version: string
  /** Absent: the fastest that passes its self-test here. */
  readonly transport?: TransportChoice
}

export type ConfigSource =
  /** A control plane over ADS; `lastGoodDir` keeps what it sent, so that a boot needs none. */
  | {
      readonly kind: 'ads'
      readonly connect: SocketAddress | { readonly path: string }
      /** Mutual TLS with the certificate of `identity`, which is needed then. Default: plaintext. */
      readonly isTls?: boolean
      readonly lastGoodDir?: string
    }
  /** `DiscoveryResponse` files: one, or a folder of them; watched. */
  | { readonly kind: 'files'; readonly path: string }
  /** Whoever embeds the proxy hands resources over itself. */
  | { readonly kind: 'feed'; open(sink: ResourceSinkDeps): Promise<ConfigFeed> }

export interface ProxyTimings {
  /** How long connections wait for the first configuration before they are closed. */
  readonly holdMs: number
  /** From the start of a graceful drain until what is left is cut. */
  readonly drainMs: number
  /** Between being reported unhealthy and refusing new connections. */
  readonly drainNoticeMs: number
  /** How much longer than the notice callers may take to hear it, and to see their requests end. */
  readonly drainBusyMs: number
  /** After a successor took over: how long connections without a request may stay. */
  readonly upgradeIdleMs: number
  /** After a successor took over: how long tunnels and requests may go on. */
  readonly upgradeDrainMs: number
  readonly probeIntervalMs: number
  readonly probeTimeoutMs: number
  /** Between two resolutions of a DNS cluster (Envoy `dns_refresh_rate`). */
  readonly dnsRefreshMs: number
}

export const DEFAULT_TIMINGS: ProxyTimings = {
  holdMs: 30_000,
  drainMs: 30_000,
  drainNoticeMs: 1_000,
  drainBusyMs: 4_000,
  upgradeIdleMs: 10_000,
  upgradeDrainMs: 600_000,
  probeIntervalMs: 1_000,
  probeTimeoutMs: 1_000,
  dnsRefreshMs: 5_000,
}

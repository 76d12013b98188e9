/** Node: sockets of its own, TLS with certificates, and a histogram of the event loop's delay. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { keepProcessAlive, realClock } from '@weft/base'
import { openStreamCarrier } from './link/stream-carrier.ts'
import { openWebSocketCarrier } from './link/websocket-carrier.ts'
import type { Platform } from './platform.ts'
import type { TlsOptions } from './types.ts'

/** How finely delays are seen, in milliseconds. */
const RESOLUTION_MS = 10

/** @param random Uniform in [0, 1). */
export function nodePlatform(random: () => number): Platform {
  return {
    clock: realClock,
    random,
    schemes: ['tcp', 'tls', 'tcps', 'ws', 'wss'],
    schedule: setImmediate,
    stay: keepProcessAlive,
    dial(uri, tls, handler) {
      const { protocol, hostname, port } = new URL(uri)
      if (protocol === 'ws:' || protocol === 'wss:') {
        const deps = { schedule: setImmediate, after: realClock.after }
        return openWebSocketCarrier(uri, deps, handler)
      }
      const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) }
      const isPlain = protocol === 'tcp:'
      const secure = () => linkTls(address.host, tls)
      return openStreamCarrier(address, isPlain ? undefined : secure, handler)
    },
    openLagMeter() {
      const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
      histogram.enable()
      return {
        takeMs() {
          const lagMs = Math.max(0, histogram.max / 1e6 - RESOLUTION_MS)
          histogram.reset()
          return lagMs
        },
        close: () => void histogram.disable(),
      }
    },
  }
}

function linkTls(host: string, { ca, cert, key, serverName, spiffeId }: TlsOptions) {
  return {
    serverName: serverName ?? host,
    ...(ca === undefined ? {} : { caPem: ca }),
    ...(cert === undefined || key === undefined
      ? {}
      : { certificate: { chainPem: cert, keyPem: key } }),
    ...(spiffeId === undefined ? {} : { spiffeId }),
  }
}

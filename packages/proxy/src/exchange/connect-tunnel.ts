/** Where HTTP ends and bytes begin: CONNECT, and upgrades the upstream agreed to. */
import type { Socket } from '@weft/net'
import type { Host } from '@weft/traffic'
import { ascii } from '@weft/wire'
import { Tunnel } from '../downstream/tunnel.ts'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import { rawConnect } from '../upstream/raw-connect.ts'
import { chooseHost, resolveNamed } from './choose-host.ts'
import type { Exchange } from './exchange.ts'
import { out } from './shared-out.ts'

const ESTABLISHED = ascii('HTTP/1.1 200 OK\r\n\r\n')

/** CONNECT: nothing the client sends goes on before the upstream accepted (R12). */
export function openTunnel(x: Exchange): void {
  const { cluster } = x
  if (cluster === undefined) return
  x.attempts++
  const host = chooseHost(x)
  if (host !== undefined) connectTunnel(x, cluster, host)
  else if (!x.finished && cluster.model.discovery.kind === 'forwardProxy') {
    resolveNamed(x, (found) => connectTunnel(x, cluster, found))
  }
}

/**
 * CONNECT to a host whose routes are HTTP's: the tunnel ends here. What follows on the connection
 * are requests like any others, and are routed.
 */
export function endTunnelHere(x: Exchange): void {
  x.status = 200
  x.answered = true
  sendEstablished(x)
  x.logFlush?.tunnelled({ receivedBytes: 0, sentBytes: 0 })
  x.finish()
}

function sendEstablished(x: Exchange): void {
  out.clear()
  out.append(ESTABLISHED)
  x.downstream.send(out.length, false, undefined)
}

function connectTunnel(x: Exchange, cluster: UpstreamCluster, host: Host): void {
  const { deps } = x
  x.useHost(host)

  x.cancelWait = rawConnect(
    cluster,
    host,
    {
      onConnected(socket) {
        x.cancelWait = undefined
        x.status = 200
        x.answered = true
        x.firstByteMs = deps.clock.monotonicMs()
        x.sentMs = x.firstByteMs
        sendEstablished(x)
        const client = x.downstream.takeOver()
        const tunnel = tunnelOf(x, client.socket, socket, cluster.model.http.idleTimeoutMs, () =>
          cluster.limits.release('connections'),
        )
        tunnel.start(client.early, undefined)
      },
      onFailed(failure, detail) {
        x.cancelWait = undefined
        x.fail(failure, detail)
      },
    },
    deps,
    { client: x.downstream, authority: x.authority },
  )
}

/**
 * RFC 6455, section 7.1.1: whoever has ended its connection has left. Peers that know no
 * half-close, such as an Envoy, would keep theirs for as long as they wait for idle ones.
 */
const WEB_SOCKET_LINGER_MS = 1_000

/** The upstream switched protocols and its 101 was sent on. */
export function startUpgradeTunnel(x: Exchange, fromUpstream: Buffer): void {
  const { connection } = x
  if (connection === undefined) return
  x.connection = undefined
  const client = x.downstream.takeOver()
  const upstream = connection.takeOver()
  const isWebSocket = x.view.header('upgrade')?.toLowerCase() === 'websocket'
  const lingerMs = isWebSocket ? WEB_SOCKET_LINGER_MS : undefined
  const tunnel = tunnelOf(x, client.socket, upstream.socket, 0, upstream.released, lingerMs)
  tunnel.start(client.early, fromUpstream)
}

function tunnelOf(
  x: Exchange,
  client: Socket,
  upstream: Socket,
  idleTimeoutMs: number,
  released: () => void,
  lingerMs?: number,
): Tunnel {
  x.timers.disarm()
  let cancelLimit = (): void => undefined
  const tunnel = new Tunnel(
    client,
    upstream,
    {
      idleTimeoutMs,
      ...(lingerMs === undefined ? {} : { lingerMs }),
      onEnd(tunnel, flag) {
        cancelLimit()
        released()
        x.request.bytes = tunnel.receivedBytes
        x.responseBodyBytes = tunnel.sentBytes
        if (flag === 'DC') x.failure = 'clientGone'
        else if (flag === 'UC') x.failure = 'upstreamCut'
        else if (flag === 'SI') x.failure = 'streamIdle'
        else if (flag === 'DT') x.failure = 'streamDuration'
        x.mustClose = true
        x.finish()
      },
    },
    x.deps,
  )
  x.logFlush?.tunnelled(tunnel)
  const leftMs = leftOf(x)
  if (leftMs !== undefined) cancelLimit = x.deps.clock.after(leftMs, () => tunnel.close('DT'))
  return tunnel
}

/** A stream that became a tunnel lasts no longer than others (Envoy's `max_stream_duration`). */
function leftOf({ action, runtime, deps, startedMs }: Exchange): number | undefined {
  const limitMs = action?.source.maxStreamDurationMs ?? runtime.manager.maxStreamDurationMs ?? 0
  return limitMs === 0 ? undefined : Math.max(0, startedMs + limitMs - deps.clock.monotonicMs())
}

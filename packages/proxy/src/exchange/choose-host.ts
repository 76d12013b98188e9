/** Which endpoint an attempt goes to: the balancer's choice, or what the request names itself. */
import type { SocketAddress } from '@weft/model'
import { resolveHost } from '@weft/net'
import { FIRST_PICK, type Host, type PickRequest } from '@weft/traffic'
import { keepSession, keepsSessions, preferredOf, sessionOf } from '../filters/stateful-session.ts'
import type { UpstreamCluster } from '../upstream/cluster.ts'
import type { Exchange } from './exchange.ts'

const DEFAULT_PORT = 80

/**
 * The host if it is known at once. `undefined`: a name must be resolved first
 * (forward proxies), or the exchange was failed.
 */
export function chooseHost(x: Exchange): Host | undefined {
  const { cluster } = x
  if (cluster === undefined) return undefined
  const { kind } = cluster.model.discovery
  if (kind === 'forwardProxy') return undefined
  const host =
    kind === 'originalDst' ? cluster.named(x.downstream.localAddress, '') : balanced(x, cluster)
  if (host === undefined) x.fail('noHealthyEndpoint', `no endpoint of ${cluster.model.name}`)
  return host
}

function balanced(x: Exchange, cluster: UpstreamCluster): Host | undefined {
  const session = keepsSessions(x.runtime) ? sessionOf(x) : undefined
  if (session === undefined) return picked(x, cluster, undefined)
  // An attempt after another one goes elsewhere, and the session with it.
  const preferred =
    x.tried === undefined ? preferredOf(session, x.view, x.deps.clock.nowMs()) : undefined
  const host = picked(x, cluster, preferred)
  if (host !== undefined && !(preferred !== undefined && isAt(host, preferred))) {
    keepSession(x, session, host)
  }
  return host
}

function isAt({ endpoint }: Host, { host, port }: SocketAddress): boolean {
  return endpoint.address.host === host && endpoint.address.port === port
}

function picked(
  x: Exchange,
  cluster: UpstreamCluster,
  preferred: SocketAddress | undefined,
): Host | undefined {
  const { hash, tried } = x
  if (hash === undefined && tried === undefined && preferred === undefined) {
    return cluster.pick(FIRST_PICK)
  }
  const wanted = { ...(preferred === undefined ? {} : { preferred }), ...otherPriority(x) }
  // Rather an endpoint that failed than none, when it is the only one.
  return (
    cluster.pick({ hash, tried, ...wanted }) ??
    (tried === undefined ? undefined : cluster.pick({ hash, tried: undefined }))
  )
}

/** As Envoy's `previous_priorities` with Istio's frequency of two attempts. */
function otherPriority({ action, attempts, tried }: Exchange): Pick<PickRequest, 'otherPriority'> {
  if (action?.source.retry?.otherPriorities !== true || tried === undefined) return {}
  return { otherPriority: attempts > 2 ? 'first' : 'last' }
}

/** Calls `found` when the name the request is for has an address; fails the exchange when not. */
export function resolveNamed(x: Exchange, found: (host: Host) => void): void {
  const { authority } = x
  const colon = authority.lastIndexOf(':')
  const hasPort = colon > authority.lastIndexOf(']')
  const port = hasPort ? Number(authority.slice(colon + 1)) : DEFAULT_PORT
  const name = (hasPort ? authority.slice(0, colon) : authority).replace(/^\[(.*)\]$/, '$1')
  let waiting = true
  x.cancelWait = () => {
    waiting = false
  }
  const { resolve = resolveHost } = x.deps
  resolve(name).then(
    ([address]) => {
      if (!waiting) return
      x.cancelWait = undefined
      const host =
        address === undefined ? undefined : x.cluster?.named({ host: address, port }, name)
      if (host === undefined) x.fail('noSuchHost', `${name} has no address`)
      else found(host)
    },
    (error: unknown) => {
      if (!waiting) return
      x.cancelWait = undefined
      x.fail('noSuchHost', `${name}: ${error instanceof Error ? error.message : String(error)}`)
    },
  )
}

/** Which endpoint an attempt goes to: the balancer's choice, or what the request names itself. */
import { resolveHost } from '@weft/net'
import { FIRST_PICK, type Host } from '@weft/traffic'
import type { Exchange } from './exchange.ts'

const DEFAULT_PORT = 80

/**
 * Calls `found` at once or, when a name must be resolved, later; not at all when
 * the exchange ended meanwhile. Failures are reported to the exchange.
 */
export function chooseHost(x: Exchange, found: (host: Host) => void): void {
  const { cluster } = x
  if (cluster === undefined) return
  switch (cluster.model.discovery.kind) {
    case 'forwardProxy':
      resolveNamed(x, found)
      return
    case 'originalDst': {
      const address = x.downstream.localAddress
      const host = cluster.named(address, '')
      if (host === undefined) x.fail('noHealthyEndpoint', 'no original destination')
      else found(host)
      return
    }
    default: {
      const first = x.hash === undefined && x.tried === undefined
      const request = first ? FIRST_PICK : { hash: x.hash, tried: x.tried }
      // Rather an endpoint that failed than none, when it is the only one.
      const host =
        cluster.pick(request) ??
        (x.tried === undefined ? undefined : cluster.pick({ hash: x.hash, tried: undefined }))
      if (host === undefined) x.fail('noHealthyEndpoint', `no endpoint of ${cluster.model.name}`)
      else found(host)
    }
  }
}

function resolveNamed(x: Exchange, found: (host: Host) => void): void {
  const { authority } = x
  const colon = authority.lastIndexOf(':')
  const hasPort = colon > authority.lastIndexOf(']')
  const port = hasPort ? Number(authority.slice(colon + 1)) : DEFAULT_PORT
  const name = (hasPort ? authority.slice(0, colon) : authority).replace(/^\[(.*)\]$/, '$1')
  let waiting = true
  x.cancelWait = () => {
    waiting = false
  }
  resolveHost(name).then(
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

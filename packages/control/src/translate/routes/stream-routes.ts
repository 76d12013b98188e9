/** TLSRoutes and TCPRoutes → where the bytes of a connection go. */
import type { TcpProxy } from '@weft/model'
import type { StreamRouteAttachment } from '../../snapshot/gateway-api/attachment.ts'
import { BLACK_HOLE_CLUSTER, outboundCluster } from '../names.ts'
import { asTargets } from './default-route.ts'

/** Connections that fall to an invalid backend, or to none, are closed: nobody answers in the black hole. */
export function streamTargets({ document, backends }: StreamRouteAttachment): TcpProxy['targets'] {
  const [rule] = document.spec.rules
  const targets = (rule?.backendRefs ?? [])
    .filter(({ weight }) => weight > 0)
    .map((ref) => {
      const backend = backends.get(ref)
      const cluster =
        backend?.kind === 'service'
          ? outboundCluster(backend.host, backend.port)
          : BLACK_HOLE_CLUSTER
      return { cluster, weight: ref.weight }
    })
  return asTargets(targets) ?? [{ cluster: BLACK_HOLE_CLUSTER, weight: 1 }]
}

/**
 * Istio's filter state of both ends, as far as logs name it: who they are by the mesh's own
 * knowledge (`downstream_peer`, `upstream_peer`), and by their certificates (`io.istio.…`).
 */
import type { WorkloadRef } from '@weft/model'
import type { TlsFacts } from '@weft/net'

type Fields = Readonly<Record<string, string>>

interface Ends {
  downstream(): WorkloadRef | undefined
  upstream(): WorkloadRef | undefined
  readonly tls: TlsFacts | undefined
}

export function filterStateOf(key: string, ends: Ends): Fields | string | undefined {
  switch (key) {
    case 'downstream_peer':
    case 'wasm.downstream_peer':
      return fieldsOf(ends.downstream())
    case 'upstream_peer':
    case 'wasm.upstream_peer':
      return fieldsOf(ends.upstream())
    case 'io.istio.peer_principal':
      return ends.tls?.peer?.uriSans[0]
    case 'io.istio.local_principal':
      return ends.tls?.localUriSans[0]
    default:
      return undefined
  }
}

function fieldsOf(workload: WorkloadRef | undefined): Fields | undefined {
  if (workload === undefined) return undefined
  const { name, namespace, app, version, cluster } = workload
  return { workload: name, cluster, namespace, service: app, revision: version, app, version }
}

/** Listeners of Gateways and ListenerSets: certificates that are not there, and ports that clash. */

import type { DocumentOf } from '../document.ts'
import type { KubernetesListener } from '../kinds/gateway-api.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'

type Owner = DocumentOf<'KubernetesGateway'> | DocumentOf<'ListenerSet'>

export function checkGatewayListeners(index: AnalysisIndex, warn: Warn): void {
  const owners: readonly Owner[] = [...index.all('KubernetesGateway'), ...index.all('ListenerSet')]
  for (const owner of owners) {
    for (const [position, listener] of owner.spec.listeners.entries()) {
      const at = itemPath('spec.listeners', position)
      checkCertificates(owner, listener, at, index, warn)
      checkConflict(owner, position, at, warn)
    }
  }
}

function checkCertificates(
  owner: Owner,
  { tls }: KubernetesListener,
  path: string,
  index: AnalysisIndex,
  warn: Warn,
): void {
  // Without any Secret written down they are kept elsewhere.
  if (index.all('Secret').length === 0) return
  for (const [position, ref] of (tls?.certificateRefs ?? []).entries()) {
    if (ref.group !== '' || ref.kind !== 'Secret') continue
    const at = `${itemPath(`${path}.tls.certificateRefs`, position)}.name`
    const namespace = ref.namespace ?? owner.metadata.namespace
    const secret = index.find('Secret', namespace, ref.name)
    if (secret === undefined) {
      const message = `there is no Secret ${namespace}/${ref.name}; the listener is not served until it is created`
      warn(owner, at, 'missing-secret', message)
      continue
    }
    const keys = { ...secret.spec.data, ...secret.spec.stringData }
    const missing = ['tls.crt', 'tls.key'].filter((key) => !Object.hasOwn(keys, key))
    if (missing.length === 0) continue
    const message = `Secret ${namespace}/${ref.name} has no ${missing.join(' and no ')}; a certificate needs both`
    warn(owner, at, 'missing-secret', message)
  }
}

/** Inside one object none of two that clash is served. */
function checkConflict(owner: Owner, position: number, path: string, warn: Warn): void {
  const { listeners } = owner.spec
  const own = listeners[position]
  const rival = listeners
    .slice(0, position)
    .find((other) => own !== undefined && other.port === own.port && clash(other, own))
  if (own === undefined || rival === undefined) return
  const isLayer = layerOf(rival) !== layerOf(own)
  const why = isLayer
    ? `speaks ${rival.protocol}, which cannot share port ${own.port} with ${own.protocol}`
    : `has port ${own.port} and the same host name`
  const message = `listener "${rival.name}" ${why}; neither is served: change one of them`
  warn(owner, isLayer ? `${path}.protocol` : path, 'conflicting-gateways', message)
}

function clash(a: KubernetesListener, b: KubernetesListener): boolean {
  const hostOf = ({ hostname = '' }: KubernetesListener) => hostname.toLowerCase()
  return layerOf(a) !== layerOf(b) || hostOf(a) === hostOf(b)
}

function layerOf({ protocol }: KubernetesListener): string {
  return protocol === 'HTTPS' ? 'TLS' : protocol
}

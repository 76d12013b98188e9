/**
 * Listeners of one gateway that cannot stand side by side. Inside one object none
 * of them wins; between objects the gateway's own come first, then ListenerSets
 * in order of precedence.
 */
import type { KubernetesListener } from '@weft/config'

export interface MergedListener {
  /** The object that has the listener. */
  readonly owner: object
  readonly spec: KubernetesListener
}

export type ListenerConflict = 'ProtocolConflict' | 'HostnameConflict'

/** @param merged In order of precedence. */
export function findConflict(
  merged: readonly MergedListener[],
  index: number,
): ListenerConflict | undefined {
  const own = merged[index]
  if (own === undefined) return undefined
  let found: ListenerConflict | undefined
  for (const [i, other] of merged.entries()) {
    if (i === index || (other.owner !== own.owner && i > index)) continue
    if (other.spec.port !== own.spec.port) continue
    if (layerOf(other.spec) !== layerOf(own.spec)) return 'ProtocolConflict'
    if (hostOf(other.spec) === hostOf(own.spec)) found = 'HostnameConflict'
  }
  return found
}

/** Listeners of one port must be told apart by the same means: HTTP's host, TLS's server name. */
function layerOf({ protocol }: KubernetesListener): string {
  return protocol === 'HTTPS' ? 'TLS' : protocol
}

function hostOf({ hostname }: KubernetesListener): string {
  return (hostname ?? '').toLowerCase()
}

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

/**
 * Which of them conflict. One that has lost to an object of higher precedence is out: it takes
 * nothing from its own object's others, nor from later ones.
 *
 * @param merged In order of precedence, the listeners of an object together.
 */
export function findConflicts(
  merged: readonly MergedListener[],
): readonly (ListenerConflict | undefined)[] {
  const lost: (ListenerConflict | undefined)[] = []
  for (const [i, own] of merged.entries()) {
    const higher = merged.slice(0, i).filter((other, j) => isOther(other, own) && !lost[j])
    lost.push(conflictWith(own, higher))
  }
  return merged.map((own, i) => {
    const beside = merged.filter((other, j) => j !== i && !isOther(other, own) && !lost[j])
    return lost[i] ?? conflictWith(own, beside)
  })
}

function isOther(a: MergedListener, b: MergedListener): boolean {
  return a.owner !== b.owner
}

function conflictWith(
  { spec }: MergedListener,
  others: readonly MergedListener[],
): ListenerConflict | undefined {
  const samePort = others.filter((other) => other.spec.port === spec.port)
  if (samePort.some((other) => layerOf(other.spec) !== layerOf(spec))) return 'ProtocolConflict'
  const isSameHost = samePort.some((other) => hostOf(other.spec) === hostOf(spec))
  return isSameHost ? 'HostnameConflict' : undefined
}

/** Listeners of one port must be told apart by the same means: HTTP's host, TLS's server name. */
function layerOf({ protocol }: KubernetesListener): string {
  return protocol === 'HTTPS' ? 'TLS' : protocol
}

function hostOf({ hostname }: KubernetesListener): string {
  return (hostname ?? '').toLowerCase()
}

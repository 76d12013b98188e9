/**
 * Which mutual TLS a port of a workload takes, by PeerAuthentications: the mesh's own (root
 * namespace), the namespace's, the workload's, the port's; each inherits what it leaves UNSET.
 */
import type { DocumentOf } from '@weft/config'
import { selects } from '../registries/declared/workload-ref.ts'

export type MutualTlsMode = 'DISABLE' | 'PERMISSIVE' | 'STRICT'
type PeerAuthenticationDocument = DocumentOf<'PeerAuthentication'>

/** Istio's: who has mutual TLS speaks it, nobody is shut out before all have. */
const DEFAULT_MODE: MutualTlsMode = 'PERMISSIVE'

/**
 * @param policies In order of precedence: of several for the same the oldest holds.
 * @param ports Names of one port, as the workload and its service call it.
 */
export function mutualTlsMode(
  policies: readonly PeerAuthenticationDocument[],
  workload: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
  ports: readonly number[],
  rootNamespace: string,
): MutualTlsMode {
  if (policies.length === 0) return DEFAULT_MODE
  const { namespace, labels } = workload
  const forAll = (place: string) =>
    policies.find((one) => one.metadata.namespace === place && isForAll(one))
  const own = policies.find(
    (one) =>
      one.metadata.namespace === namespace &&
      !isForAll(one) &&
      selects(one.spec.selector?.matchLabels, labels),
  )
  const inherited = set(own) ?? set(forAll(namespace)) ?? set(forAll(rootNamespace))
  const levels = own?.spec.portLevelMtls ?? {}
  for (const port of ports) {
    const level = levels[port]
    if (level === undefined) continue
    return known(level.mode) ?? inherited ?? DEFAULT_MODE
  }
  return inherited ?? DEFAULT_MODE
}

function set(policy: PeerAuthenticationDocument | undefined): MutualTlsMode | undefined {
  return known(policy?.spec.mtls?.mode)
}

function known(mode: string | undefined): MutualTlsMode | undefined {
  return mode === 'STRICT' || mode === 'PERMISSIVE' || mode === 'DISABLE' ? mode : undefined
}

function isForAll({ spec }: PeerAuthenticationDocument): boolean {
  return Object.keys(spec.selector?.matchLabels ?? {}).length === 0
}

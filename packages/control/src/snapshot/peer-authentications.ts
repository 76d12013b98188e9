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

/** Names of one port, as the workload and its service call it. */
type Ports = readonly number[]

interface Called {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
}

/** @param policies In order of precedence: of several for the same the oldest holds. */
export function mutualTlsMode(
  policies: readonly PeerAuthenticationDocument[],
  workload: Called,
  ports: Ports,
  rootNamespace: string,
): MutualTlsMode {
  if (policies.length === 0) return DEFAULT_MODE
  return mutualTlsDecision(policies, workload, ports, rootNamespace).mode
}

export interface MutualTlsDecision {
  readonly mode: MutualTlsMode
  /** Absent: nobody says, the default holds. */
  readonly policy?: PeerAuthenticationDocument
  /** Of what it says, e.g. `spec.mtls`. */
  readonly path?: string
}

/** The mode, and whose word it is. */
export function mutualTlsDecision(
  policies: readonly PeerAuthenticationDocument[],
  { namespace, labels }: Called,
  ports: Ports,
  rootNamespace: string,
): MutualTlsDecision {
  const forAll = (place: string) =>
    policies.find((one) => one.metadata.namespace === place && isForAll(one))
  const own = policies.find(
    (one) =>
      one.metadata.namespace === namespace &&
      !isForAll(one) &&
      selects(one.spec.selector?.matchLabels, labels),
  )
  const inherited = decided(own) ??
    decided(forAll(namespace)) ??
    decided(forAll(rootNamespace)) ?? { mode: DEFAULT_MODE }
  const levels = own?.spec.portLevelMtls ?? {}
  for (const port of ports) {
    const level = levels[port]
    if (own === undefined || level === undefined) continue
    const mode = known(level.mode)
    return mode === undefined
      ? inherited
      : { mode, policy: own, path: `spec.portLevelMtls[${port}]` }
  }
  return inherited
}

function decided(policy: PeerAuthenticationDocument | undefined): MutualTlsDecision | undefined {
  const mode = known(policy?.spec.mtls?.mode)
  return mode === undefined || policy === undefined
    ? undefined
    : { mode, policy, path: 'spec.mtls' }
}

function known(mode: string | undefined): MutualTlsMode | undefined {
  return mode === 'STRICT' || mode === 'PERMISSIVE' || mode === 'DISABLE' ? mode : undefined
}

function isForAll({ spec }: PeerAuthenticationDocument): boolean {
  return Object.keys(spec.selector?.matchLabels ?? {}).length === 0
}

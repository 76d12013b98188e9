/**
 * Who may ask for certificates of others, saying for whom as Istio's control planes do, in the
 * metadata of the request: control planes that have this one as their upstream CA, for everybody;
 * brokers, for workloads that have proved to them who they are. A broker never gets to be
 * somebody who may ask for others, nor the control plane.
 */
import { parseSpiffeId, renderSpiffeId, type SpiffeId, serviceAccountOf } from '@weft/model'
import { IMPERSONATED_IDENTITY } from '@weft/xds'
import { isControlPlane } from './server-identity.ts'

/** A service account, `NAMESPACE/NAME`. */
export type Delegate = string

export interface BrokerAccount {
  readonly account: Delegate
  /** Whose workloads it may ask for; absent: those of all namespaces. */
  readonly namespaces?: readonly string[]
}

export interface Askers {
  readonly delegates?: readonly Delegate[]
  readonly brokers?: readonly BrokerAccount[]
}

export type Subject =
  | { readonly ok: true; readonly id: SpiffeId; readonly isDelegated: boolean }
  | { readonly ok: false; readonly code: 'permissionDenied'; readonly problem: string }

/** @param caller What was proved. */
export function subjectOf(
  caller: SpiffeId,
  metadata: Readonly<Record<string, string>>,
  { delegates = [], brokers = [] }: Askers,
): Subject {
  const wanted = metadata[IMPERSONATED_IDENTITY] ?? ''
  if (wanted === '') return { ok: true, id: caller, isDelegated: false }
  const name = accountName(caller)
  const broker = brokers.find(({ account }) => account === name)
  const isDelegated = name !== undefined && delegates.includes(name)
  if (name === undefined || (!isDelegated && broker === undefined)) {
    return refused(
      `${renderSpiffeId(caller)} may not ask for others: allow it with --ca-delegates ${name}, or --brokers ${name} if it is a broker`,
    )
  }
  const parsed = parseSpiffeId(wanted)
  if (!parsed.ok) return refused(`${IMPERSONATED_IDENTITY} is no SPIFFE ID: ${parsed.problem}`)
  const { id } = parsed
  if (id.trustDomain !== caller.trustDomain || serviceAccountOf(id) === undefined) {
    return refused(`${wanted} is no workload of spiffe://${caller.trustDomain}`)
  }
  if (isDelegated) return { ok: true, id, isDelegated }
  const namespaces = broker?.namespaces
  const asked = serviceAccountOf(id)?.namespace ?? ''
  if (namespaces !== undefined && !namespaces.includes(asked)) {
    return refused(`${name} may ask for workloads of ${namespaces.join(', ')}, not for ${wanted}`)
  }
  const others = [...delegates, ...brokers.map(({ account }) => account)]
  if (isControlPlane(id) || others.includes(accountName(id) ?? '')) {
    return refused(`${name} may ask for workloads, and ${wanted} may do more than these`)
  }
  return { ok: true, id, isDelegated: false }
}

function accountName(id: SpiffeId): Delegate | undefined {
  const account = serviceAccountOf(id)
  return account && `${account.namespace}/${account.serviceAccount}`
}

function refused(problem: string): Subject {
  return { ok: false, code: 'permissionDenied', problem }
}

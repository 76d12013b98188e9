/**
 * Who may ask for certificates of others: control planes that have this one as their upstream CA.
 * They say whom they ask for as Istio's do, in the metadata of the request.
 */
import { parseSpiffeId, renderSpiffeId, type SpiffeId, serviceAccountOf } from '@weft/model'
import { IMPERSONATED_IDENTITY } from '@weft/xds'

/** A service account, `NAMESPACE/NAME`. */
export type Delegate = string

export type Subject =
  | { readonly ok: true; readonly id: SpiffeId; readonly isDelegated: boolean }
  | { readonly ok: false; readonly code: 'permissionDenied'; readonly problem: string }

/** @param caller What was proved. */
export function subjectOf(
  caller: SpiffeId,
  metadata: Readonly<Record<string, string>>,
  delegates: readonly Delegate[],
): Subject {
  const wanted = metadata[IMPERSONATED_IDENTITY] ?? ''
  if (wanted === '') return { ok: true, id: caller, isDelegated: false }
  const account = serviceAccountOf(caller)
  const name = `${account?.namespace}/${account?.serviceAccount}`
  if (account === undefined || !delegates.includes(name)) {
    return refused(
      `${renderSpiffeId(caller)} may not ask for others: allow it with --ca-delegates ${name}`,
    )
  }
  const parsed = parseSpiffeId(wanted)
  if (!parsed.ok) return refused(`${IMPERSONATED_IDENTITY} is no SPIFFE ID: ${parsed.problem}`)
  const { id } = parsed
  if (id.trustDomain !== caller.trustDomain || serviceAccountOf(id) === undefined) {
    return refused(`${wanted} is no workload of spiffe://${caller.trustDomain}`)
  }
  return { ok: true, id, isDelegated: true }
}

function refused(problem: string): Subject {
  return { ok: false, code: 'permissionDenied', problem }
}

/** What listeners and parents say, by object, for the status of Gateway API objects. */
import { type Document, documentsOf } from '@weft/config'
import type { ObjectParts } from '../../status/gateway-api-status.ts'
import type { Condition } from '../../status/object-status.ts'
import type { Attachments } from './attachment.ts'
import type { BackendPolicies } from './backend-policies.ts'
import { isOurController, type Listeners } from './listeners.ts'

/** Kinds that are none of ours, or that another controller handles, are absent. */
export function objectParts(
  documents: readonly Document[],
  listeners: Listeners,
  attached: Attachments,
  policies: BackendPolicies,
): ReadonlyMap<Document, ObjectParts> {
  const parts = new Map<Document, ObjectParts>()
  for (const one of documentsOf(documents, 'GatewayClass')) {
    if (isOurController(one.spec.controllerName)) parts.set(one as Document, { kind: 'class' })
  }
  for (const [owner, own] of listeners.byOwner) {
    parts.set(owner, {
      kind: 'listeners',
      listeners: own.map((listener) => ({
        name: listener.spec.name,
        supportedKinds: listener.supportedKinds,
        attachedRoutes: attached.attachedRoutes.get(listener) ?? 0,
        isServed: listener.isServed,
        conditions: listener.conditions,
      })),
      ...(owner.type === 'KubernetesGateway'
        ? { attachedListenerSets: listeners.sets.get(owner)?.length ?? 0 }
        : {}),
    })
  }
  for (const set of listeners.refusedSets) parts.set(set, { kind: 'listeners', listeners: [] })
  for (const [route, parents] of attached.parents) parts.set(route, { kind: 'parents', parents })
  for (const [policy, ancestors] of policies.ancestors) {
    parts.set(policy, { kind: 'ancestors', ancestors })
  }
  return parts
}

/** A GatewayClass of ours is accepted unless it asks for parameters, which no kind of ours gives. */
export function classConditions(
  documents: readonly Document[],
): ReadonlyMap<Document, readonly Condition[]> {
  const conditions = new Map<Document, readonly Condition[]>()
  for (const one of documentsOf(documents, 'GatewayClass')) {
    const { controllerName, parametersRef } = one.spec
    if (!isOurController(controllerName)) continue
    const accepted: Condition =
      parametersRef === undefined
        ? { type: 'Accepted', status: true, reason: 'Accepted', message: 'class accepted' }
        : {
            type: 'Accepted',
            status: false,
            reason: 'InvalidParameters',
            message: `parameters of kind ${parametersRef.group}/${parametersRef.kind} are not supported`,
          }
    const message = 'Gateway API v1.6 is supported'
    conditions.set(one as Document, [
      accepted,
      { type: 'SupportedVersion', status: true, reason: 'SupportedVersion', message },
    ])
  }
  return conditions
}

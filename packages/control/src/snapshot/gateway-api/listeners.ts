/**
 * Gateways of Gateway API: which are ours, which of their listeners can be
 * served, and with which certificates.
 */
import { type Document, type DocumentOf, documentsOf, type KubernetesListener } from '@weft/config'
import type { Secret } from '@weft/model'
import type { Condition } from '../../status/object-status.ts'
import { secretName } from '../secrets.ts'
import { GATEWAY_API, isReferencePermitted } from './backend.ts'

/** A listener of a Gateway API gateway that this control plane serves. */
export interface ServedListener {
  readonly gateway: DocumentOf<'KubernetesGateway'>
  readonly index: number
  readonly spec: KubernetesListener
  /** Names of secrets (`kubernetes://…`) to terminate TLS with; empty for plain HTTP. */
  readonly certificates: readonly string[]
}

const OUR_CONTROLLERS = new Set(['weft.io/gateway-controller', 'istio.io/gateway-controller'])
/** Classes that need no GatewayClass object. */
const OUR_CLASSES = new Set(['weft', 'istio'])

export interface Listeners {
  readonly gateways: ReadonlySet<DocumentOf<'KubernetesGateway'>>
  readonly served: readonly ServedListener[]
  readonly conditions: ReadonlyMap<DocumentOf<'KubernetesGateway'>, readonly Condition[]>
}

export function servedListeners(
  documents: readonly Document[],
  secrets: ReadonlyMap<string, Secret>,
): Listeners {
  const classes = new Map(
    documentsOf(documents, 'GatewayClass').map((one) => [one.metadata.name, one.spec]),
  )
  const grants = documentsOf(documents, 'ReferenceGrant')
  const gateways = new Set<DocumentOf<'KubernetesGateway'>>()
  const served: ServedListener[] = []
  const conditions = new Map<DocumentOf<'KubernetesGateway'>, readonly Condition[]>()
  for (const gateway of documentsOf(documents, 'KubernetesGateway')) {
    const name = gateway.spec.gatewayClassName
    const controller = classes.get(name)?.controllerName
    if (controller === undefined ? !OUR_CLASSES.has(name) : !OUR_CONTROLLERS.has(controller)) {
      continue
    }
    gateways.add(gateway)
    const judged = gateway.spec.listeners.map((spec, index) =>
      judgeListener(gateway, spec, index, secrets, grants),
    )
    served.push(...judged.flatMap((one) => one.listener ?? []))
    conditions.set(gateway, gatewayConditions(judged))
  }
  return { gateways, served, conditions }
}

interface Judged {
  readonly listener?: ServedListener
  readonly conditions: readonly Condition[]
}

function judgeListener(
  gateway: DocumentOf<'KubernetesGateway'>,
  spec: KubernetesListener,
  index: number,
  secrets: ReadonlyMap<string, Secret>,
  grants: readonly DocumentOf<'ReferenceGrant'>[],
): Judged {
  const where = `listener ${spec.name}`
  const accepted: Condition = {
    type: 'Accepted',
    status: true,
    reason: 'Accepted',
    message: 'listener accepted',
    where,
  }
  const refuse = (type: Condition['type'], reason: string, message: string): Judged => ({
    conditions: [
      ...(type === 'Accepted' ? [] : [accepted]),
      { type, status: false, reason, message, where },
    ],
  })
  const isTls = spec.protocol === 'HTTPS'
  if (spec.protocol !== 'HTTP' && !isTls) {
    return refuse('Accepted', 'UnsupportedProtocol', `protocol ${spec.protocol} is not served yet`)
  }
  if (isConflicted(gateway, spec, index)) {
    return refuse('Accepted', 'HostnameConflict', 'an earlier listener has the same port and host')
  }
  const refs = isTls ? (spec.tls?.certificateRefs ?? []) : []
  const certificates: string[] = []
  for (const ref of refs) {
    const namespace = ref.namespace ?? gateway.metadata.namespace
    const from = {
      group: GATEWAY_API,
      kind: 'Gateway',
      namespace: gateway.metadata.namespace,
    }
    if (!isReferencePermitted(from, { ...ref, namespace }, grants)) {
      return refuse(
        'ResolvedRefs',
        'RefNotPermitted',
        `secret ${namespace}/${ref.name} is not granted`,
      )
    }
    const name = secretName(namespace, ref.name)
    if (ref.kind !== 'Secret' || secrets.get(name)?.kind !== 'certificate') {
      const message = `secret ${namespace}/${ref.name} does not exist or holds no certificate`
      return refuse('ResolvedRefs', 'InvalidCertificateRef', message)
    }
    certificates.push(name)
  }
  if (isTls && certificates.length === 0) {
    return refuse('ResolvedRefs', 'InvalidCertificateRef', 'an HTTPS listener needs a certificate')
  }
  return {
    listener: { gateway, index, spec, certificates },
    conditions: [
      accepted,
      {
        type: 'ResolvedRefs',
        status: true,
        reason: 'ResolvedRefs',
        message: 'all references resolve',
        where,
      },
    ],
  }
}

function isConflicted(
  gateway: DocumentOf<'KubernetesGateway'>,
  spec: KubernetesListener,
  index: number,
): boolean {
  return gateway.spec.listeners
    .slice(0, index)
    .some(
      (other) =>
        other.port === spec.port &&
        (other.hostname ?? '') === (spec.hostname ?? '') &&
        other.protocol === spec.protocol,
    )
}

function gatewayConditions(judged: readonly Judged[]): readonly Condition[] {
  const good = judged.filter((one) => one.listener !== undefined).length
  const accepted: Condition =
    good === judged.length
      ? { type: 'Accepted', status: true, reason: 'Accepted', message: 'gateway accepted' }
      : {
          type: 'Accepted',
          status: good > 0,
          reason: 'ListenersNotValid',
          message: `${judged.length - good} of ${judged.length} listeners are not served`,
        }
  return [accepted, ...judged.flatMap((one) => one.conditions)]
}

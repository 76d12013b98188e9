/**
 * What a `backendRef` of Gateway API means: a service port, or the reason why
 * it means nothing. The requests of an invalid reference are answered with 500.
 */
import type { DocumentOf, HttpBackendRef } from '@weft/config'
import { findService, type MeshService } from '../../registries/registry.ts'

export type BackendTarget =
  | { readonly kind: 'service'; readonly host: string; readonly port: number }
  | { readonly kind: 'invalid'; readonly reason: BackendFault; readonly message: string }

type BackendFault = 'BackendNotFound' | 'RefNotPermitted' | 'InvalidKind' | 'UnsupportedProtocol'

/** Both `backendRefs` and the reference inside a mirror. */
export type AnyBackendRef = Pick<HttpBackendRef, 'group' | 'kind' | 'name' | 'namespace' | 'port'>

export interface BackendContext {
  readonly services: ReadonlyMap<string, MeshService>
  /** `undefined`: no reference needs one. */
  readonly grants: readonly DocumentOf<'ReferenceGrant'>[] | undefined
  readonly domain: string
}

/** @param kind Of the route that refers; a ReferenceGrant names it. */
export function resolveBackend(
  ref: AnyBackendRef,
  kind: string,
  namespace: string,
  context: BackendContext,
): BackendTarget {
  const host = hostOf(ref, namespace, context.domain)
  if (host === undefined) {
    return invalid('InvalidKind', `backend kind ${ref.group}/${ref.kind} is not supported`)
  }
  const target = ref.namespace ?? namespace
  const from = { group: GATEWAY_API, kind, namespace }
  const to = { group: ref.group, kind: ref.kind, namespace: target, name: ref.name }
  const { grants } = context
  if (grants !== undefined && ref.kind !== 'Hostname' && !isReferencePermitted(from, to, grants)) {
    return invalid(
      'RefNotPermitted',
      `no ReferenceGrant in ${target} lets ${kind}s of ${namespace} refer to ${ref.kind} ${ref.name}`,
    )
  }
  const service = findService(context.services, host)
  if (service === undefined) return invalid('BackendNotFound', `service ${host} does not exist`)
  const port = ref.port ?? (service.ports.length === 1 ? service.ports[0]?.port : undefined)
  if (port === undefined) {
    return invalid('BackendNotFound', `backend ${ref.name} names no port of service ${host}`)
  }
  const found = service.ports.find((one) => one.port === port)
  if (found === undefined) {
    return invalid('BackendNotFound', `service ${host} has no port ${port}`)
  }
  if (found.protocol === 'udp') {
    return invalid('UnsupportedProtocol', `port ${port} of service ${host} is UDP`)
  }
  return { kind: 'service', host: service.host, port }
}

export const GATEWAY_API = 'gateway.networking.k8s.io'

export interface GrantSide {
  readonly group: string
  readonly kind: string
  readonly namespace: string
}

/** References inside a namespace need no permission; others one grant in the target's namespace. */
export function isReferencePermitted(
  from: GrantSide,
  to: GrantSide & { readonly name: string },
  grants: readonly DocumentOf<'ReferenceGrant'>[],
): boolean {
  if (from.namespace === to.namespace) return true
  return grants.some(
    ({ metadata, spec }) =>
      metadata.namespace === to.namespace &&
      spec.from.some(
        (one) =>
          one.group === from.group && one.kind === from.kind && one.namespace === from.namespace,
      ) &&
      spec.to.some(
        (one) =>
          one.group === to.group &&
          one.kind === to.kind &&
          (one.name === undefined || one.name === '' || one.name === to.name),
      ),
  )
}

function hostOf(ref: AnyBackendRef, namespace: string, domain: string): string | undefined {
  if (ref.group === '' && ref.kind === 'Service') {
    return `${ref.name}.${ref.namespace ?? namespace}.svc.${domain}`
  }
  // Istio's way to route to a ServiceEntry's host.
  if (ref.group === 'networking.istio.io' && ref.kind === 'Hostname') return ref.name.toLowerCase()
  return undefined
}

function invalid(reason: BackendFault, message: string): BackendTarget {
  return { kind: 'invalid', reason, message }
}

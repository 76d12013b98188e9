/**
 * VirtualServices with their names resolved against the namespace they are
 * written in, and what they refer to.
 */
import type { DocumentOf } from '@weft/config'
import { resolveHost } from './hosts.ts'

type Spec = DocumentOf<'VirtualService'>['spec']

export interface BoundVirtualService {
  readonly document: DocumentOf<'VirtualService'>
  /** Fully qualified where they name services. */
  readonly hosts: readonly string[]
  /** `mesh` or `<namespace>/<name>`. */
  readonly gateways: readonly string[]
}

/** A place in a VirtualService that names a service. */
export interface DestinationReference {
  /** Fully qualified. */
  readonly host: string
  readonly subset?: string
  readonly port?: number
  /** E.g. `spec.http[0].route[1].destination`. */
  readonly path: string
}

export function bindVirtualService(
  document: DocumentOf<'VirtualService'>,
  domain: string,
): BoundVirtualService {
  const { namespace } = document.metadata
  const { hosts = [], gateways } = document.spec
  return {
    document,
    hosts: hosts.map((host) => resolveHost(host, namespace, domain)),
    gateways: bindGateways(gateways, namespace),
  }
}

/** `mesh` stays; a bare name is a gateway of the object's own namespace. */
export function bindGateways(
  gateways: readonly string[] | undefined,
  namespace: string,
): readonly string[] {
  if (gateways === undefined || gateways.length === 0) return ['mesh']
  return gateways.map((name) =>
    name === 'mesh' || name.includes('/')
      ? name.replace(/^\.\//, `${namespace}/`)
      : `${namespace}/${name}`,
  )
}

export function destinationsOf(
  document: DocumentOf<'VirtualService'>,
  domain: string,
): readonly DestinationReference[] {
  const { namespace } = document.metadata
  return placesOf(document.spec).map(({ destination, path }) => ({
    host: resolveHost(destination.host, namespace, domain),
    ...(destination.subset === undefined || destination.subset === ''
      ? {}
      : { subset: destination.subset }),
    ...(destination.port?.number === undefined ? {} : { port: destination.port.number }),
    path,
  }))
}

interface Place {
  readonly destination: {
    readonly host: string
    readonly subset?: string
    readonly port?: { readonly number?: number }
  }
  readonly path: string
}

function placesOf(spec: Spec): readonly Place[] {
  const places: Place[] = []
  for (const family of ['http', 'tls', 'tcp'] as const) {
    for (const [i, rule] of (spec[family] ?? []).entries()) {
      for (const [j, { destination }] of (rule.route ?? []).entries()) {
        places.push({ destination, path: `spec.${family}[${i}].route[${j}].destination` })
      }
    }
  }
  for (const [i, rule] of (spec.http ?? []).entries()) {
    if (rule.mirror !== undefined) {
      places.push({ destination: rule.mirror, path: `spec.http[${i}].mirror` })
    }
    for (const [j, { destination }] of (rule.mirrors ?? []).entries()) {
      places.push({ destination, path: `spec.http[${i}].mirrors[${j}].destination` })
    }
  }
  return places
}

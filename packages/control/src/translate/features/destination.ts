/** A destination of a VirtualService → the cluster that it means. */
import type { Destination } from '@weft/config'
import type { HashPolicy } from '@weft/model'
import { resolveHost } from '../../snapshot/hosts.ts'
import { policyFor } from '../clusters/applied-rule.ts'
import { outboundCluster } from '../names.ts'
import type { RouteContext } from '../routes/route-context.ts'
import { hashPolicies } from './load-balancer.ts'

export interface ResolvedDestination {
  readonly cluster: string
  /** What its balancer wants to hash. */
  readonly hashPolicies: readonly HashPolicy[]
}

/**
 * Without a port: the service's only one, else the port of the request. A host
 * that no service has yields a cluster that does not exist; such requests are
 * answered 503 with flag NC.
 */
export function resolveDestination(
  destination: Destination,
  namespace: string,
  context: RouteContext,
): ResolvedDestination {
  const { scope } = context
  const written = resolveHost(destination.host, namespace, scope.domain)
  const host = scope.aliases.get(written)?.aliasOf ?? written
  const service = scope.services.get(host)
  const only = service?.ports.length === 1 ? service.ports[0]?.port : undefined
  const port = destination.port?.number ?? only ?? context.port
  const cluster = outboundCluster(host, port, destination.subset)
  if (service === undefined) return { cluster, hashPolicies: [] }
  const policy = policyFor(scope.ruleFor(service), port, destination.subset)
  return { cluster, hashPolicies: hashPolicies(policy.loadBalancer) }
}

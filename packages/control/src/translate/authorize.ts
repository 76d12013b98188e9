/**
 * AuthorizationPolicies over everything else: which hold for a listener's chain, and the filters
 * that decide by them. What a workload serves is authorized, not what it calls; of a gateway,
 * everything.
 *
 *     root namespace, or the workload's own, with a selector that fits or none
 *     targetRefs: the Service or ServiceEntry behind a port, the Gateway or its class
 */
import type { SecurityTarget, SecurityTargetRef } from '@weft/config'
import type { FilterChain, HttpFilterConfig, Listener, NetworkRbac, RbacFilter } from '@weft/model'
import { selects } from '../registries/declared/workload-ref.ts'
import type { MeshService } from '../registries/registry.ts'
import { resolveHost } from '../snapshot/hosts.ts'
import {
  type AuthorizationPlace,
  authorizationSteps,
  type PolicyDocument,
} from './features/authorization.ts'
import type { ProxyScope } from './scope.ts'

/** Without a policy everything is what it was, and the same objects. */
export function authorize(scope: ProxyScope, listeners: readonly Listener[]): readonly Listener[] {
  const { authorizationPolicies } = scope.snapshot
  if (authorizationPolicies.length === 0) return listeners
  return listeners.map((listener) =>
    isJudged(scope, listener) ? underPolicies(scope, listener) : listener,
  )
}

export function isJudged({ proxy }: ProxyScope, { direction }: Listener): boolean {
  return proxy.role === 'gateway' || direction === 'inbound'
}

function underPolicies(scope: ProxyScope, listener: Listener): Listener {
  let isChanged = false
  const under = (chain: FilterChain): FilterChain => {
    const policies = scope.snapshot.authorizationPolicies.filter((policy) =>
      isFor(scope, listener, chain, policy.metadata.namespace, policy.spec),
    )
    if (policies.length === 0) return chain
    const policed = chainUnder(scope, listener, chain, policies)
    if (policed !== chain) isChanged = true
    return policed
  }
  const filterChains = listener.filterChains.map(under)
  const { defaultFilterChain } = listener
  const last = defaultFilterChain === undefined ? undefined : under(defaultFilterChain)
  if (!isChanged) return listener
  const rest = last === undefined ? {} : { defaultFilterChain: last }
  return { ...listener, filterChains, ...rest }
}

function chainUnder(
  scope: ProxyScope,
  listener: Listener,
  chain: FilterChain,
  policies: readonly PolicyDocument[],
): FilterChain {
  const place = authorizationPlace(scope, listener, chain)
  const steps = scope.cache.get(
    `authorization ${JSON.stringify(place)} ${policies.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join()}`,
    policies,
    () => authorizationSteps(policies, place),
  )
  const { filter } = chain
  if (filter.kind === 'http') {
    const strict =
      scope.mesh.strictPaths && policies.some(asksForPaths)
        ? ({ mergeSlashes: true, escapedSlashes: 'reject' } as const)
        : {}
    const filters = withSteps(filter.filters, steps)
    return { ...chain, filter: { ...filter, ...strict, filters } }
  }
  const [first, ...more] = steps.map((step): NetworkRbac => ({ statPrefix: 'tcp.', ...step }))
  return first === undefined ? chain : { ...chain, rbac: [first, ...more] }
}

function asksForPaths({ spec }: PolicyDocument): boolean {
  return (spec.rules ?? []).some(({ to = [] }) =>
    to.some(
      ({ operation = {} }) => operation.paths !== undefined || operation.notPaths !== undefined,
    ),
  )
}

/** What translation has to know of a chain to write rules for it. */
export function authorizationPlace(
  scope: ProxyScope,
  listener: Listener,
  { filter }: FilterChain,
): AuthorizationPlace {
  const { trustDomain, trustDomainAliases } = scope.mesh
  const ports = knownPorts(scope, listener)
  return {
    forTcp: filter.kind === 'tcp',
    trustDomains: [trustDomain, ...trustDomainAliases],
    ...(ports === undefined ? {} : { ports }),
  }
}

/** Who is known first: tokens, then what a provider says, then these. */
const BEFORE: readonly HttpFilterConfig['kind'][] = ['jwtAuthn', 'extAuthz', 'rbac']

function withSteps(
  filters: readonly HttpFilterConfig[],
  steps: readonly RbacFilter[],
): readonly HttpFilterConfig[] {
  const at = filters.findIndex(({ kind }) => !BEFORE.includes(kind))
  const from = at === -1 ? filters.length : at
  const added = steps.map((step): HttpFilterConfig => ({ kind: 'rbac', ...step }))
  return [...filters.slice(0, from), ...added, ...filters.slice(from)]
}

/** A policy names the port of the workload, whatever port its proxy listens on for it. */
function knownPorts(
  { proxy }: ProxyScope,
  { name, address }: Listener,
): readonly number[] | undefined {
  const offer = proxy.offers.find(({ port }) => name === `weft:inbound|${port}`)
  if (offer !== undefined) return [...new Set([offer.port, offer.appPort])]
  if (proxy.role !== 'gateway') return undefined
  const mapped = [...proxy.portMap].filter(([, to]) => to === address.port).map(([from]) => from)
  return mapped.length === 0 ? undefined : [address.port, ...mapped]
}

/** Whether a security policy holds for a chain. */
export function isFor(
  scope: ProxyScope,
  listener: Listener,
  chain: FilterChain,
  namespace: string,
  { selector, targetRef, targetRefs = [] }: SecurityTarget,
): boolean {
  const { proxy, mesh } = scope
  const refs = targetRef === undefined ? targetRefs : [targetRef, ...targetRefs]
  if (refs.length > 0) return refs.some((ref) => isTarget(scope, listener, chain, namespace, ref))
  if (namespace !== proxy.namespace && namespace !== mesh.rootNamespace) return false
  return selector === undefined || selects(selector.matchLabels ?? {}, proxy.labels)
}

function isTarget(
  scope: ProxyScope,
  listener: Listener,
  chain: FilterChain,
  namespace: string,
  { kind, name }: SecurityTargetRef,
): boolean {
  switch (kind) {
    case 'Gateway':
      return gatewaysOf(scope, listener).some(
        ({ metadata }) => metadata.name === name && metadata.namespace === namespace,
      )
    case 'GatewayClass':
      // Classes belong to everybody, so only the root namespace may speak of all their gateways.
      return (
        namespace === scope.mesh.rootNamespace &&
        gatewaysOf(scope, listener).some(({ spec }) => spec.gatewayClassName === name)
      )
    case 'Service':
      return servicesBehind(scope, listener, chain).some(
        (one) => one.source !== 'serviceEntry' && one.name === name && one.namespace === namespace,
      )
    case 'ServiceEntry':
      return servicesBehind(scope, listener, chain).some(({ origins }) =>
        origins.some(
          (one) => one.kind === kind && one.name === name && one.namespace === namespace,
        ),
      )
    default:
      return false
  }
}

/** Gateway API's gateways that a listener serves. */
function gatewaysOf({ snapshot }: ProxyScope, { origins }: Listener) {
  return snapshot.listeners
    .filter(({ owner }) =>
      origins.some(
        (origin) =>
          origin.kind === owner.kind &&
          origin.name === owner.metadata.name &&
          origin.namespace === owner.metadata.namespace &&
          origin.path?.startsWith('spec.servers') !== true,
      ),
    )
    .map(({ gateway }) => gateway)
}

type ServedService = Pick<MeshService, 'name' | 'namespace' | 'source' | 'origins'>

function servicesBehind(
  { proxy, snapshot, domain }: ProxyScope,
  { name, direction }: Listener,
  { match }: FilterChain,
): readonly ServedService[] {
  if (direction !== 'inbound') return []
  const offered = proxy.offers
    .filter(({ port }) => name === `weft:inbound|${port}`)
    .map(
      ({ service }): ServedService =>
        snapshot.services.get(resolveHost(service, proxy.namespace, domain)) ?? {
          name: service,
          namespace: proxy.namespace,
          source: 'selfRegistered',
          origins: [],
        },
    )
  const captured = [...snapshot.instances].flatMap(([host, instances]) => {
    const service = snapshot.services.get(host)
    const isHere = instances.some(
      ({ address, port }) => port === match.destinationPort && proxy.addresses.includes(address),
    )
    return isHere && service !== undefined ? [service] : []
  })
  return [...offered, ...captured]
}

/**
 * RequestAuthentications and CUSTOM AuthorizationPolicies over everything else: the filters that
 * find out who calls, and those that ask somebody else whether he may. They stand before all others.
 *
 *     tokens ── CUSTOM: asks its provider ── DENY ── ALLOW (`authorize.ts`)
 */
import type { SecurityTarget } from '@weft/config'
import type { Cluster, FilterChain, HttpFilterConfig, Listener, RbacRules } from '@weft/model'
import { resolveHost } from '../snapshot/hosts.ts'
import { SYSTEM_ROOTS } from '../snapshot/secrets.ts'
import { authorizationPlace, isFor, isJudged } from './authorize.ts'
import { plainCluster } from './clusters/outbound.ts'
import { authentication, keyUri } from './features/authentication.ts'
import { isDryRun, type PolicyDocument, rulesOf } from './features/authorization.ts'
import { askProvider, customPrefix } from './features/external-authorization.ts'
import { outboundCluster } from './names.ts'
import type { ProxyScope } from './scope.ts'

/** Without a policy everything is what it was, and the same objects. */
export function authenticate(
  scope: ProxyScope,
  listeners: readonly Listener[],
  clusters: ReadonlyMap<string, Cluster>,
): readonly Listener[] {
  const { requestAuthentications, authorizationPolicies } = scope.snapshot
  const custom = authorizationPolicies.filter(({ spec }) => spec.action === 'CUSTOM')
  if (requestAuthentications.length + custom.length === 0) return listeners
  return listeners.map((listener) => {
    if (!isJudged(scope, listener)) return listener
    const under = (chain: FilterChain) => chainUnder(scope, listener, chain, custom, clusters)
    const { defaultFilterChain: last } = listener
    return {
      ...listener,
      filterChains: listener.filterChains.map(under),
      ...(last === undefined ? {} : { defaultFilterChain: under(last) }),
    }
  })
}

type SecurityPolicy = Pick<PolicyDocument, 'metadata'> & { readonly spec: SecurityTarget }

function chainUnder(
  scope: ProxyScope,
  listener: Listener,
  chain: FilterChain,
  custom: readonly PolicyDocument[],
  clusters: ReadonlyMap<string, Cluster>,
): FilterChain {
  const holds = ({ metadata, spec }: SecurityPolicy) =>
    isFor(scope, listener, chain, metadata.namespace, spec)
  const asked = custom.filter((policy) => holds(policy) && !isDryRun(policy))
  const { filter } = chain
  const place = authorizationPlace(scope, listener, chain)
  if (filter.kind !== 'http') {
    if (asked.length === 0) return chain
    // Nobody can be asked about a connection here: what would be asked about is refused.
    const step = { statPrefix: 'tcp.', rules: rulesOf(asked, 'deny', place) }
    return { ...chain, rbac: [step, ...(chain.rbac ?? [])] }
  }
  const policies = scope.snapshot.requestAuthentications.filter(holds)
  const tokens = authentication(policies, {
    keyCluster: (uri) => keyClusterName(scope, uri),
    routesByClaim: scope.proxy.role === 'gateway' && routesByClaim(scope),
  })
  const providers = [...new Set(asked.map(({ spec }) => spec.provider?.name ?? ''))].sort()
  const added: readonly HttpFilterConfig[] = [
    ...(tokens === undefined ? [] : [{ kind: 'jwtAuthn', authentication: tokens } as const]),
    ...providers.flatMap((name) => {
      const own = asked.filter(({ spec }) => (spec.provider?.name ?? '') === name)
      return askedBy(scope, name, rulesOf(own, 'deny', place, customPrefix(name)), clusters)
    }),
  ]
  return added.length === 0
    ? chain
    : { ...chain, filter: { ...filter, filters: [...added, ...filter.filters] } }
}

function askedBy(
  scope: ProxyScope,
  name: string,
  rules: RbacRules,
  clusters: ReadonlyMap<string, Cluster>,
): readonly HttpFilterConfig[] {
  const provider = scope.mesh.authorizationProviders.find((one) => one.name === name)
  const service =
    provider === undefined || provider.problem !== undefined
      ? undefined
      : serviceHost(scope, provider.service)
  const cluster = outboundCluster(service ?? '', provider?.port ?? 0)
  if (provider !== undefined && service !== undefined && clusters.has(cluster)) {
    return askProvider(provider, { name: cluster, host: service }, rules)
  }
  // Whoever should be asked is not there: nobody passes who would have to be asked about (R57).
  return [{ kind: 'rbac', rules }]
}

/** `[<namespace>/]<host>`, short or full. */
function serviceHost({ services, domain, mesh }: ProxyScope, text: string): string | undefined {
  const [namespace, name] = text.includes('/') ? text.split('/', 2) : [mesh.rootNamespace, text]
  const full = resolveHost(name ?? '', namespace ?? '', domain)
  return services.has(full) ? full : services.has(name ?? '') ? name : undefined
}

/** The cluster of a service of the mesh, else one for the keys alone. */
function keyClusterName(scope: ProxyScope, uri: string): string {
  const { host, port } = placeOf(uri)
  const service = serviceHost(scope, host)
  const known = service === undefined ? undefined : scope.services.get(service)
  return known?.ports.some((one) => one.port === port) === true && service !== undefined
    ? outboundCluster(service, port)
    : `jwks|${port}|${host}`
}

function placeOf(uri: string): {
  readonly host: string
  readonly port: number
  readonly tls: boolean
} {
  const url = new URL(uri)
  const tls = url.protocol === 'https:'
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port)
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port, tls }
}

/** Through which Envoys fetch keys from outside of the mesh; Weft's proxies need no cluster for it. */
export function keyClusters(scope: ProxyScope): readonly Cluster[] {
  const uris = scope.snapshot.requestAuthentications
    .filter(({ metadata: { namespace } }) =>
      [scope.proxy.namespace, scope.mesh.rootNamespace].includes(namespace),
    )
    .flatMap(({ spec }) => (spec.jwtRules ?? []).flatMap((rule) => keyUri(rule) ?? []))
    .filter((uri) => URL.canParse(uri))
  return [...new Set(uris)].flatMap((uri) => {
    const name = keyClusterName(scope, uri)
    const { host, port, tls } = placeOf(uri)
    if (!name.startsWith('jwks|')) return []
    const address = { host, port }
    const endpoint = { address, weight: 1, health: 'healthy' } as const
    const locality = { region: '', zone: '', subZone: '' }
    const endpoints = {
      name,
      localities: [{ locality, priority: 0, weight: 1, endpoints: [endpoint] }],
    }
    const cluster = plainCluster(scope, name, { kind: 'strictDns', endpoints })
    return [tls ? { ...cluster, tls: { ...SYSTEM_TRUST, sni: host } } : cluster]
  })
}

const SYSTEM_TRUST = {
  validation: SYSTEM_ROOTS,
  autoSanValidation: true,
  subjectAltNames: [],
  alpn: [],
} as const

function routesByClaim({ virtualServices }: ProxyScope): boolean {
  return virtualServices.some(({ document: { spec } }) =>
    (spec.http ?? []).some(({ match = [] }) =>
      match.some(({ headers = {}, withoutHeaders = {} }) =>
        Object.keys({ ...headers, ...withoutHeaders }).some((name) =>
          name.toLowerCase().startsWith('@request.auth.claims'),
        ),
      ),
    ),
  )
}

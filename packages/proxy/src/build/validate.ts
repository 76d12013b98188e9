/**
 * Whether this proxy can run a resource. What it cannot is refused with a reason
 * a person can act on; it becomes the NACK, and the last good state stays.
 */
import { isIP } from 'node:net'
import {
  type AccessLogTarget,
  type Cluster,
  type Endpoints,
  type FilterChain,
  isUnixSocket,
  type Listener,
  type RbacFilter,
  type Resources,
  type ResourceType,
  type RouteTable,
  type Secret,
  type SocketAddress,
} from '@weft/model'
import { compileLogFilter, logFormatProblem } from '@weft/telemetry'
import { compileRbac, compileRouteTable, createClusterBalancer, matchText } from '@weft/traffic'

type Problem = string | undefined

const validators: { readonly [T in ResourceType]: (resource: Resources[T]) => Problem } = {
  listener: listenerProblem,
  route: routeProblem,
  cluster: clusterProblem,
  endpoints: endpointsProblem,
  secret: secretProblem,
}

/** Why the resource cannot run here, naming the part that is wrong; `undefined` when it can. */
export function resourceProblem<T extends ResourceType>(type: T, resource: Resources[T]): Problem {
  return validators[type](resource)
}

function listenerProblem(listener: Listener): Problem {
  const { address, filterChains, defaultFilterChain } = listener
  if (!isPlace(address)) {
    return `address: must be an IP address or the path of a Unix socket, got ${JSON.stringify(address.host)}`
  }
  const chains =
    defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain]
  if (chains.length === 0) return 'filter_chains: must have at least one'
  const names = new Set<string>()
  for (const chain of chains) {
    if (chain.name !== '' && names.has(chain.name)) {
      return `filter chain "${chain.name}": the name must be unique in its listener`
    }
    names.add(chain.name)
    const problem = chainProblem(chain)
    if (problem !== undefined) return `filter chain "${chain.name}": ${problem}`
  }
  return undefined
}

function chainProblem({ tls, filter, rbac }: FilterChain): Problem {
  if (tls !== undefined && tls.certificates.length === 0) {
    return 'transport_socket: at least one certificate is needed'
  }
  const badLog = filter.accessLogs.map(logProblem).find((problem) => problem !== undefined)
  if (badLog !== undefined) return `access_log: ${badLog}`
  const filters = filter.kind === 'http' ? filter.filters : []
  const steps: readonly RbacFilter[] = [
    ...(rbac ?? []),
    ...filters.filter((one) => one.kind === 'rbac'),
  ]
  const badRules = steps.map(rbacProblem).find((problem) => problem !== undefined)
  if (badRules !== undefined) return badRules
  if (filter.kind === 'tcp') return undefined
  return filter.routes.kind === 'inline' ? routeProblem(filter.routes.table) : undefined
}

/** Rules that cannot be understood are refused, never left out (R54). */
function rbacProblem({ rules, shadowRules }: RbacFilter): Problem {
  return problemOf(() => {
    for (const one of [rules, shadowRules]) if (one !== undefined) compileRbac(one)
  })
}

function logProblem({ format, filter }: AccessLogTarget): Problem {
  const ofFormat = format === undefined ? undefined : logFormatProblem(format)
  if (ofFormat !== undefined || filter === undefined) return ofFormat
  return problemOf(() => compileLogFilter(filter, matchText))
}

function routeProblem(table: RouteTable): Problem {
  return problemOf(() => compileRouteTable(table))
}

function clusterProblem(cluster: Cluster): Problem {
  const { discovery, loadBalancer } = cluster
  if (discovery.kind === 'static') {
    const problem = endpointsProblem(discovery.endpoints)
    if (problem !== undefined) return `load_assignment: ${problem}`
  }
  return problemOf(() =>
    createClusterBalancer(
      { policy: loadBalancer, panicPercent: 0 },
      { random: () => 0, nowMs: () => 0 },
    ),
  )
}

function isPlace(address: SocketAddress): boolean {
  return isIP(address.host) !== 0 || isUnixSocket(address)
}

function endpointsProblem(endpoints: Endpoints): Problem {
  for (const { endpoints: list } of endpoints.localities) {
    for (const { address } of list) {
      if (isPlace(address)) continue
      return `endpoint: the address must be an IP address or the path of a Unix socket, got ${JSON.stringify(address.host)}`
    }
  }
  return undefined
}

/** What OpenSSL says of it; a key that does not fit its certificate is found, too. */
function secretProblem(secret: Secret): Problem {
  const { createSecureContext } = process.getBuiltinModule('node:tls')
  return problemOf(() =>
    secret.kind === 'certificate'
      ? createSecureContext({ cert: secret.chainPem, key: secret.keyPem })
      : createSecureContext({
          ca: secret.caPem,
          ...(secret.crlPem === undefined ? {} : { crl: secret.crlPem }),
        }),
  )
}

function problemOf(attempt: () => unknown): Problem {
  try {
    attempt()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

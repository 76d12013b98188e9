/**
 * One call against the resources of one proxy: listener, filter chain, route,
 * cluster. Decisions are the data plane's own functions (`@weft/traffic`); this
 * file only walks the path and writes down what it saw.
 */
import type {
  Cluster,
  FilterChain,
  HttpConnectionManager,
  Listener,
  Origin,
  ResourceSet,
  RouteTable,
  TcpProxy,
} from '@weft/model'
import { renderOrigin } from '@weft/model'
import {
  type CompiledForward,
  type CompiledRoute,
  compileRouteTable,
  createRouteTrace,
  type MatchedDecision,
  matchRoute,
  redirectLocation,
  renderRouteTrace,
} from '@weft/traffic'
import type { Call } from './call.ts'
import { findFilterChain, findListener } from './connection.ts'
import { limitFacts } from './rate-limits.ts'
import { requestViewOf, rewrittenBy } from './request.ts'
import { NOWHERE, type SimulationResult } from './result.ts'

/** @param port Where the call arrives; differs from the call's where a gateway binds another port for it. */
export function decide(resources: ResourceSet, call: Call, port: number): SimulationResult {
  const listener = findListener(resources.listener.values(), call, port)
  if (listener === undefined) {
    const because = [`nothing listens on ${call.address}:${port}, and no listener takes the rest`]
    return { ...NOWHERE, error: 'no-listener', because }
  }
  const because = [
    `${call.address}:${port} is listener "${listener.name}"${from(listener.origins)}`,
  ]
  const found = { ...NOWHERE, listener: listener.name }
  const chain = findFilterChain(listener, call, port)
  if (chain === undefined) {
    if (call.tls === 'plaintext' && isTlsServer(listener, call, port)) {
      because.push(`listener "${listener.name}" terminates TLS, the call is plain text`)
      return { ...found, error: 'tls-error', because }
    }
    because.push(`listener "${listener.name}" has no filter chain for ${describe(call)}`)
    return { ...found, error: 'no-filter-chain', because }
  }
  const inChain = { ...found, filterChain: chain.name === '' ? null : chain.name }
  const mismatch = transportMismatch(chain, call)
  if (mismatch !== undefined) {
    because.push(mismatch.why)
    return { ...inChain, error: mismatch.error, because }
  }
  return chain.filter.kind === 'tcp'
    ? forwardTcp(resources, chain.filter, inChain, because)
    : routeHttp(resources, chain.filter, call, inChain, because)
}

/** Whether TLS without a server name would find a chain where plain text finds none. */
function isTlsServer(listener: Listener, call: Call, port: number): boolean {
  const overTls: Call = { ...call, tls: 'tls', sni: '' }
  return findFilterChain(listener, overTls, port)?.tls !== undefined
}

/** What cannot be decoded: TLS where none is terminated, plain text where it is, TCP in an HTTP chain. */
function transportMismatch(
  chain: FilterChain,
  call: Call,
): { readonly error: 'tls-error' | 'protocol-error'; readonly why: string } | undefined {
  const terminates = chain.tls !== undefined
  if (terminates && call.tls === 'plaintext') {
    return { error: 'tls-error', why: 'the filter chain terminates TLS, the call is plain text' }
  }
  if (chain.tls?.requireClientCertificate === true && call.tls === 'tls') {
    return { error: 'tls-error', why: 'the filter chain wants a client certificate' }
  }
  if (chain.filter.kind !== 'http') return undefined
  if (!terminates && call.tls !== 'plaintext') {
    return { error: 'protocol-error', why: 'TLS bytes reach a filter chain that speaks HTTP' }
  }
  if (call.protocol === 'tcp') {
    return { error: 'protocol-error', why: 'the filter chain speaks HTTP, the call is TCP' }
  }
  return undefined
}

function forwardTcp(
  resources: ResourceSet,
  filter: TcpProxy,
  found: SimulationResult,
  because: readonly string[],
): SimulationResult {
  const clusters = filter.targets.map(({ cluster, weight }) => ({ cluster, weight }))
  const forwarded = { ...found, clusters, cluster: heaviest(clusters) }
  return checkCluster(resources, forwarded, [...because, 'bytes are passed on as TCP'])
}

function routeHttp(
  resources: ResourceSet,
  manager: HttpConnectionManager,
  call: Call,
  found: SimulationResult,
  because: readonly string[],
): SimulationResult {
  const table = tableOf(resources, manager)
  const inTable = { ...found, routeTable: table?.name ?? null }
  if (table === undefined) {
    const name = manager.routes.kind === 'rds' ? manager.routes.name : ''
    const why = `the proxy has no route table "${name}"`
    return { ...inTable, error: 'no-virtual-host', because: [...because, why] }
  }
  const trace = createRouteTrace()
  const request = requestViewOf(call)
  const decision = matchRoute(compileRouteTable(table), request, trace)
  const facts = [...because, ...renderRouteTrace(trace)]
  switch (decision.kind) {
    case 'noVirtualHost':
      return { ...inTable, error: 'no-virtual-host', because: facts }
    case 'noRoute': {
      const virtualHost = decision.virtualHost.source.name
      return { ...inTable, virtualHost, error: 'no-route', because: facts }
    }
    case 'matched':
      return follow(resources, decision, call, inTable, [
        ...facts,
        ...limitFacts(manager, decision.route.source.filters, decision.virtualHost.source.filters),
      ])
  }
}

function tableOf(resources: ResourceSet, manager: HttpConnectionManager): RouteTable | undefined {
  const { routes } = manager
  return routes.kind === 'inline' ? routes.table : resources.route.get(routes.name)
}

function follow(
  resources: ResourceSet,
  { virtualHost, route }: MatchedDecision,
  call: Call,
  found: SimulationResult,
  because: readonly string[],
): SimulationResult {
  const wantsTls = virtualHost.httpsRedirect?.route === route
  const matched: SimulationResult = {
    ...found,
    virtualHost: virtualHost.source.name,
    route: wantsTls ? null : route.source.name,
    fault: route.source.fault ?? null,
    because,
  }
  const { action } = route
  switch (action.kind) {
    case 'redirect': {
      const location = redirectLocation(action, requestViewOf(call))
      const redirect = { status: action.source.status, location }
      return { ...matched, redirect, error: wantsTls ? 'tls-redirect' : null }
    }
    case 'respond': {
      const { status, body } = action.source
      return { ...matched, directResponse: { status, body } }
    }
    case 'forward':
      return forwardHttp(resources, action, route, call, matched)
  }
}

function forwardHttp(
  resources: ResourceSet,
  action: CompiledForward,
  route: CompiledRoute,
  call: Call,
  matched: SimulationResult,
): SimulationResult {
  const clusters = action.targets.map(({ cluster, weight }) => ({ cluster, weight }))
  const cluster = heaviest(clusters)
  const target = action.targets.find((one) => one.cluster === cluster) ?? action.targets[0]
  const { timeoutMs, retry, mirrors } = action.source
  const forwarded: SimulationResult = {
    ...matched,
    cluster,
    clusters,
    rewritten: rewrittenBy(action, target, call, route.source.name),
    mirrors: mirrors.map((mirror) => ({ cluster: mirror.cluster, percent: mirror.percent })),
    timeoutMs: timeoutMs === 0 ? null : timeoutMs,
    retries: retry === undefined ? null : { attempts: retry.attempts, on: retry.on },
  }
  return checkCluster(resources, forwarded, matched.because)
}

function heaviest(clusters: readonly { cluster: string; weight: number }[]): string {
  return clusters.reduce((best, one) => (one.weight > best.weight ? one : best)).cluster
}

function checkCluster(
  resources: ResourceSet,
  forwarded: SimulationResult,
  because: readonly string[],
): SimulationResult {
  const name = forwarded.cluster ?? ''
  const share =
    forwarded.clusters.length > 1
      ? [
          `split: ${forwarded.clusters.map((one) => `${one.weight} to "${one.cluster}"`).join(', ')}`,
        ]
      : []
  const cluster = resources.cluster.get(name)
  if (cluster === undefined) {
    const why = `the proxy has no cluster "${name}"`
    return { ...forwarded, error: 'no-cluster', because: [...because, ...share, why] }
  }
  return { ...forwarded, because: [...because, ...share, describeCluster(resources, cluster)] }
}

function describeCluster(resources: ResourceSet, cluster: Cluster): string {
  const { discovery, name, origins } = cluster
  const line = `cluster "${name}"${from(origins)}`
  if (discovery.kind !== 'eds') return line
  const localities = resources.endpoints.get(discovery.name)?.localities ?? []
  const healthy = localities.flatMap(({ endpoints }) =>
    endpoints.filter(({ health }) => health === 'healthy'),
  ).length
  return healthy === 0 ? `${line}; it has no healthy endpoint now` : `${line}; ${healthy} endpoints`
}

function describe(call: Call): string {
  const tls = call.tls === 'plaintext' ? '' : ` over ${call.tls} (SNI "${call.sni}")`
  return `${call.protocol}${tls} to ${call.address}:${call.port}`
}

function from(origins: readonly Origin[]): string {
  const names = [...new Set(origins.map(renderOrigin))]
  return names.length === 0 ? '' : `, from ${names.join(' and ')}`
}

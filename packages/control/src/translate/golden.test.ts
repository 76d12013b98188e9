/**
 * Whole translations: `golden/<case>/in.yaml` as people write it, `proxies.json`
 * says for whom, `out.yaml` is what they get. `UPDATE_GOLDEN=1` rewrites the
 * latter; review the difference.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { parseDocuments } from '@weft/config'
import type {
  Cluster,
  Endpoints,
  FilterChain,
  Listener,
  ResourceSet,
  Route,
  RouteAction,
  RouteTable,
} from '@weft/model'
import { NO_LIMITS, renderAddress, renderOrigin } from '@weft/model'
import { checkGolden, renderYaml } from '@weft/testkit'
import { buildSnapshot } from '../snapshot/build.ts'
import { SAFE_RETRY } from '../snapshot/mesh-settings.ts'
import { DEFAULT_PROXY, type ProxyView } from './proxy-view.ts'
import { translate } from './translate.ts'

const FOLDER = join(import.meta.dirname, 'golden')

for (const name of readdirSync(FOLDER)) {
  test(`golden: ${name}`, () => {
    const read = (file: string) => readFileSync(join(FOLDER, name, file), 'utf8')
    const { documents, problems } = parseDocuments(read('in.yaml'), { file: 'in.yaml' })
    const errors = problems.filter(({ severity }) => severity === 'error')
    assert.deepEqual(errors, [], 'the input must be valid')
    const snapshot = buildSnapshot({ documents })
    const proxies = JSON.parse(read('proxies.json')) as Record<string, Partial<ProxyView>>
    const out = Object.entries(proxies).map(([who, view]) => {
      const portMap = new Map(Object.entries(view.portMap ?? {}).map(([k, v]) => [Number(k), v]))
      const resources = translate(snapshot, { ...DEFAULT_PROXY, ...view, portMap })
      return [who, readable(resources)]
    })
    const conditions = [...snapshot.conditions].map(([key, found]) => [
      key,
      found.map(
        ({ type, status, reason, message, where }) =>
          `${type}=${status} ${reason}${where === undefined ? '' : ` [${where}]`}: ${message}`,
      ),
    ])
    const text = renderYaml({
      ...Object.fromEntries(out),
      conditions: Object.fromEntries(conditions),
    })
    checkGolden(join(FOLDER, name, 'out.yaml'), text)
  })
}

/** One line a thing, without what every resource has alike, so that a difference is seen. */
function readable(set: ResourceSet): unknown {
  return {
    listeners: Object.fromEntries(
      [...set.listener].map(([name, one]) => [name, listenerText(one)]),
    ),
    routes: Object.fromEntries([...set.route].map(([name, table]) => [name, tableText(table)])),
    clusters: Object.fromEntries([...set.cluster].map(([name, one]) => [name, clusterText(one)])),
    endpoints: Object.fromEntries(
      [...set.endpoints].map(([name, one]) => [name, endpointsText(one)]),
    ),
    secrets: [...set.secret.keys()],
  }
}

function listenerText({ address, filterChains, defaultFilterChain, origins }: Listener): unknown {
  const chains = filterChains.map(chainText)
  const fallback =
    defaultFilterChain === undefined ? [] : [`default ${chainText(defaultFilterChain)}`]
  return {
    address: renderAddress(address),
    chains: [...chains, ...fallback],
    from: origins.map(renderOrigin),
  }
}

function chainText({ name, match, tls, filter }: FilterChain): string {
  const target =
    filter.kind === 'tcp'
      ? `tcp ${filter.targets.map(({ cluster, weight }) => `${weight} ${cluster}`).join(', ')}`
      : filter.routes.kind === 'rds'
        ? `rds ${filter.routes.name}`
        : `inline ${JSON.stringify(tableText(filter.routes.table))}`
  const terminates = tls === undefined ? '' : ` tls${extras(tls)}`
  return `${name}${extras(match)}${terminates} -> ${target}`
}

function tableText({ virtualHosts }: RouteTable): unknown {
  return Object.fromEntries(
    virtualHosts.map(({ name, domains, requireTls, routes }) => [
      name,
      {
        domains: domains.join(' '),
        requireTls: requireTls === 'all' ? 'all' : undefined,
        routes: routes.map(routeText),
      },
    ]),
  )
}

function routeText({ name, match, action, origins, ...rest }: Route): string {
  const { path, headers, query } = match
  const where = path.kind === 'connect' ? 'CONNECT' : `${path.kind} ${path.value}`
  const from = origins.map(renderOrigin).join(', ')
  return `${name}: ${where}${extras({ headers, query })} => ${actionText(action)}${extras(rest)} (${from})`
}

function actionText(action: RouteAction): string {
  if (action.kind !== 'forward') {
    const { kind, status, ...more } = action
    return `${kind} ${status}${extras(more)}`
  }
  const { kind: _forward, targets, retry, ...rest } = action
  const to = targets.map(({ cluster, weight, ...more }) => `${weight} ${cluster}${extras(more)}`)
  const retries = isDeepStrictEqual(retry, SAFE_RETRY) ? undefined : (retry ?? 'none')
  return `${to.join(' + ')}${extras({ ...rest, retry: retries })}`
}

function clusterText({
  name,
  discovery,
  loadBalancer,
  limits,
  http,
  service,
  ...rest
}: Cluster): string {
  const limited = Object.entries(limits).filter(
    ([key, value]) => value !== NO_LIMITS[key as keyof typeof NO_LIMITS],
  )
  const { idleTimeoutMs, protocol, ...pool } = http
  const at =
    'endpoints' in discovery ? ` ${JSON.stringify(endpointsText(discovery.endpoints))}` : ''
  const { connectTimeoutMs, origins, ...more } = rest
  const shown = {
    limits: Object.fromEntries(limited),
    protocol: protocol === 'http1' ? undefined : protocol,
    idleTimeoutMs: idleTimeoutMs === 3_600_000 ? undefined : idleTimeoutMs,
    connectTimeoutMs: connectTimeoutMs === 10_000 ? undefined : connectTimeoutMs,
    ...pool,
    ...more,
  }
  assert.equal(discovery.kind === 'eds' ? discovery.name : name, name)
  return `${discovery.kind}${at} ${loadBalancer.kind}${extras(shown)} (${origins.map(renderOrigin).join(', ')})`
}

function endpointsText({ localities }: Endpoints): readonly string[] {
  return localities.flatMap(({ locality, endpoints }) =>
    endpoints.map(({ address, health, weight, workload }) => {
      const zone = [locality.region, locality.zone, locality.subZone].filter(Boolean).join('/')
      const who = workload === undefined ? '' : ` ${workload.name} ${workload.version}`
      return `${renderAddress(address)} ${health} ${weight}${who}${zone === '' ? '' : ` in ${zone}`}`
    }),
  )
}

/** What is not empty, zero or false, as JSON. */
function extras(value: object): string {
  const text = JSON.stringify(value, (_key, item: unknown) =>
    isPlain(item) ? undefined : item instanceof Map ? Object.fromEntries(item) : item,
  )
  return text === undefined || text === '{}' ? '' : ` ${text}`
}

function isPlain(item: unknown): boolean {
  if (item === undefined || item === 0 || item === false) return true
  return typeof item === 'object' && item !== null && Object.values(item).every(isPlain)
}

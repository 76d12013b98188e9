/**
 * Whole translations: `golden/<case>/in.yaml` as people write it, `proxies.json`
 * says for whom, `out.yaml` is what they get. `UPDATE_GOLDEN=1` rewrites the
 * latter; review the difference.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { Cluster, Endpoints, Listener, ResourceSet, RouteTable } from '@weft/model'
import { NO_LIMITS, renderAddress, renderOrigin } from '@weft/model'
import { checkGolden, renderYaml } from '@weft/testkit'
import { buildSnapshot } from '../snapshot/build.ts'
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

/** Without what every resource has alike, so that a difference is seen. */
function readable(set: ResourceSet): unknown {
  return {
    listeners: [...set.listener.values()].map(readableListener),
    routes: [...set.route.values()].map(readableTable),
    clusters: [...set.cluster.values()].map(readableCluster),
    endpoints: [...set.endpoints.values()].map(readableEndpoints),
    secrets: [...set.secret.keys()],
  }
}

function readableListener({ name, address, filterChains, defaultFilterChain, origins }: Listener) {
  const chain = ({ name: chainName, match, tls, filter }: (typeof filterChains)[number]) => ({
    name: chainName,
    match,
    tls,
    ...(filter.kind === 'tcp'
      ? { tcp: filter.targets.map(({ cluster, weight }) => `${weight} ${cluster}`) }
      : {
          http:
            filter.routes.kind === 'rds' ? filter.routes.name : readableTable(filter.routes.table),
        }),
  })
  return {
    name,
    address: renderAddress(address),
    filterChains: filterChains.map(chain),
    defaultFilterChain:
      defaultFilterChain === undefined ? undefined : chain(defaultFilterChain).tcp,
    from: origins.map(renderOrigin),
  }
}

function readableTable({ name, virtualHosts }: RouteTable): unknown {
  return {
    name,
    virtualHosts: virtualHosts.map((host) => ({
      name: host.name,
      domains: host.domains,
      requireTls: host.requireTls === 'all' ? 'all' : undefined,
      routes: host.routes.map(({ origins, ...route }) => ({
        ...route,
        from: origins.map(renderOrigin),
      })),
    })),
  }
}

function readableCluster({ limits, http, origins, service, ...cluster }: Cluster): unknown {
  const limited = Object.entries(limits).filter(
    ([key, value]) => value !== NO_LIMITS[key as keyof typeof NO_LIMITS],
  )
  const { idleTimeoutMs, ...rest } = http
  return {
    ...cluster,
    connectTimeoutMs: cluster.connectTimeoutMs === 10_000 ? undefined : cluster.connectTimeoutMs,
    limits: Object.fromEntries(limited),
    http: {
      protocol: rest.protocol === 'http1' ? undefined : rest.protocol,
      idleTimeoutMs: idleTimeoutMs === 3_600_000 ? undefined : idleTimeoutMs,
      maxRequestsPerConnection: rest.maxRequestsPerConnection || undefined,
    },
    service: service === undefined ? undefined : `${service.namespace}/${service.name}`,
    from: origins.map(renderOrigin),
  }
}

function readableEndpoints({ name, localities }: Endpoints): unknown {
  return {
    name,
    endpoints: localities.flatMap(({ endpoints }) =>
      endpoints.map(
        ({ address, health, weight, workload }) =>
          `${renderAddress(address)} ${health} ${weight} ${workload?.name ?? '-'} ${workload?.version ?? '-'}`,
      ),
    ),
  }
}

/**
 * Whatever people write: validation never throws, translation says the same however often
 * and in whatever order, our own proxy can run every resource, and so can a real Envoy.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { type Document, parseDocuments } from '../../packages/config/src/index.ts'
import { buildSnapshot } from '../../packages/control/src/snapshot/build.ts'
import { DEFAULT_PROXY, type ProxyView } from '../../packages/control/src/translate/proxy-view.ts'
import { translate } from '../../packages/control/src/translate/translate.ts'
import type { ResourceSet, ResourceType } from '../../packages/model/src/index.ts'
import { resourceProblem } from '../../packages/proxy/src/build/validate.ts'
import { codec } from '../../packages/xds/src/codec/codec.ts'
import { envoyPath, skip } from './envoy.ts'
import { arbitraryMesh } from './random-mesh.ts'
import type { Json } from './random-words.ts'

const SEED = Number(process.env.WEFT_SEED ?? 7)
const RUNS = Number(process.env.WEFT_RUNS ?? 150)

const PROXIES: readonly ProxyView[] = [
  { ...DEFAULT_PROXY, namespace: 'one', labels: { app: 'a' }, addresses: ['10.9.0.1'] },
  { ...DEFAULT_PROXY, namespace: 'two' },
  {
    ...DEFAULT_PROXY,
    namespace: 'one',
    capture: { kind: 'explicit', outbound: { host: '127.0.0.1', port: 15_080 } },
  },
  { ...DEFAULT_PROXY, role: 'gateway', namespace: 'one', labels: { app: 'gateway' } },
]

const TYPES = ['listener', 'route', 'cluster', 'endpoints', 'secret'] as const

/** What validation lets through. */
function documentsOf(mesh: readonly Json[]): readonly Document[] {
  const text = mesh.map((object) => JSON.stringify(object)).join('\n---\n')
  return parseDocuments(text, { file: 'mesh.yaml' }).documents
}

function translated(documents: readonly Document[]): readonly ResourceSet[] {
  const snapshot = buildSnapshot({ documents })
  return PROXIES.map((proxy) => translate(snapshot, proxy))
}

function eachResource(set: ResourceSet, visit: (type: ResourceType, name: string) => void): void {
  for (const type of TYPES) for (const name of set[type].keys()) visit(type, name)
}

/** Every resource as the bytes that go out, by type and name. */
function bytesOf(sets: readonly ResourceSet[]): ReadonlyMap<string, string> {
  const bytes = new Map<string, string>()
  for (const [i, set] of sets.entries()) {
    for (const type of TYPES) {
      for (const [name, resource] of set[type]) {
        bytes.set(
          `${i} ${type} ${name}`,
          Buffer.from(codec.encode(type, resource as never)).toString('base64'),
        )
      }
    }
  }
  return bytes
}

const options = { seed: SEED, numRuns: RUNS }

test(`most of what random meshes hold is valid (seed ${SEED})`, () => {
  const meshes = fc.sample(arbitraryMesh, options)
  const written = meshes.reduce((sum, mesh) => sum + mesh.length, 0)
  const valid = meshes.reduce((sum, mesh) => sum + documentsOf(mesh).length, 0)
  assert.ok(valid > written / 2, `${valid} of ${written} objects are valid`)
})

test(`the order of objects changes no byte (seed ${SEED})`, () => {
  fc.assert(
    fc.property(arbitraryMesh, fc.infiniteStream(fc.nat()), (mesh, dice) => {
      const documents = [
        ...new Map(
          documentsOf(mesh).map((one) => [
            `${one.type} ${one.metadata.namespace} ${one.metadata.name}`,
            one,
          ]),
        ).values(),
      ]
      const first = bytesOf(translated(documents))
      const shuffled = documents
        .map((document) => [dice.next().value ?? 0, document] as const)
        .sort(([a], [b]) => a - b)
        .map(([, document]) => document)
      assert.deepEqual(bytesOf(translated(shuffled)), first)
      assert.deepEqual(bytesOf(translated(documents.toReversed())), first)
    }),
    options,
  )
})

test(`our own proxy can run every resource, also after the wire (seed ${SEED})`, () => {
  fc.assert(
    fc.property(arbitraryMesh, (mesh) => {
      for (const set of translated(documentsOf(mesh))) {
        eachResource(set, (type, name) => {
          const resource = set[type].get(name)
          assert.ok(resource !== undefined)
          assert.equal(resourceProblem(type, resource as never), undefined, `${type} ${name}`)
          const decoded = codec.decode(type, codec.encode(type, resource as never))
          assert.ok(decoded.ok, `${type} ${name}: ${decoded.ok ? '' : decoded.problems.join('; ')}`)
        })
        assertComplete(set)
      }
    }),
    options,
  )
})

/** What listeners name is there: their routes by name, and clusters with their endpoints. */
function assertComplete(set: ResourceSet): void {
  for (const { name, filterChains, defaultFilterChain } of set.listener.values()) {
    const chains =
      defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain]
    for (const { filter } of chains) {
      if (filter.kind === 'http' && filter.routes.kind === 'rds') {
        assert.ok(set.route.has(filter.routes.name), `${name} wants routes ${filter.routes.name}`)
      }
    }
  }
  for (const { name, discovery } of set.cluster.values()) {
    if (discovery.kind === 'eds') assert.ok(set.endpoints.has(discovery.name), name)
  }
}

const dir = mkdtempSync(join(tmpdir(), 'weft-mesh-'))
after(() => rmSync(dir, { recursive: true, force: true }))

type Fields = { readonly [key: string]: unknown }

/** Several meshes in one bootstrap: names and ports of their own, routes inside their listeners. */
function bootstrap(sets: readonly ResourceSet[]): Fields {
  let port = 20_000
  const listeners: Fields[] = []
  const clusters: Fields[] = [XDS]
  for (const [i, set] of sets.entries()) {
    const tables = new Map(
      [...set.route].map(([name, table]) => [name, bare(codec.renderJson('route', table))]),
    )
    for (const listener of set.listener.values()) {
      const json = bare(codec.renderJson('listener', listener))
      listeners.push({
        ...(inlined(json, tables) as Fields),
        name: `${i} ${listener.name}`,
        address: { socket_address: { address: '127.0.0.1', port_value: port++ } },
      })
    }
    for (const cluster of set.cluster.values()) {
      const json = bare(codec.renderJson('cluster', cluster))
      clusters.push({ ...(overGrpc(json) as Fields), name: `${i} ${cluster.name}` })
    }
  }
  return {
    node: { id: 'test', cluster: 'test' },
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
    },
    static_resources: { listeners, clusters },
  }
}

const XDS: Fields = {
  name: 'xds',
  type: 'STATIC',
  load_assignment: {
    cluster_name: 'xds',
    endpoints: [
      {
        lb_endpoints: [{ endpoint: { address: { pipe: { path: '/tmp/weft-no-such.sock' } } } }],
      },
    ],
  },
}

function bare(json: unknown): Fields {
  const { '@type': _, ...rest } = json as Fields
  return rest
}

/** Routes of a name in the place of where to ask for them. */
function inlined(value: unknown, tables: ReadonlyMap<string, Fields>): unknown {
  if (Array.isArray(value)) return value.map((one) => inlined(one, tables))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([key, one]): [string, unknown] => {
    if (key !== 'rds') return [key, inlined(one, tables)]
    const name = (one as { readonly route_config_name: string }).route_config_name
    // Clusters of a name are not known to a bootstrap that gives them names of their own.
    return ['route_config', { ...tables.get(name), validate_clusters: { value: false } }]
  })
  return Object.fromEntries(
    entries.map(([key, one]) =>
      key === 'route_config' ? [key, { ...(one as Fields), validate_clusters: false }] : [key, one],
    ),
  )
}

/** Envoy 1.40 crashes on static clusters whose secrets come over an ADS that is not there yet. */
function overGrpc(json: Fields): unknown {
  const fromAds = /"sds_config":\{"ads":\{\},"resource_api_version":"V3"\}/g
  const grpc = { grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }] }
  const source = { api_type: 'GRPC', transport_api_version: 'V3', ...grpc }
  const elsewhere = `"sds_config":${JSON.stringify({ api_config_source: source, resource_api_version: 'V3' })}`
  return JSON.parse(JSON.stringify(json).replace(fromAds, elsewhere))
}

/** What Envoy says against it; empty when it accepts. */
function complaint(sets: readonly ResourceSet[]): string {
  const path = join(dir, 'bootstrap.json')
  writeFileSync(path, JSON.stringify(bootstrap(sets)))
  const args = ['--mode', 'validate', '-c', path, '-l', 'warning']
  const run = spawnSync(envoyPath ?? '', args, { encoding: 'utf8', timeout: 60_000 })
  if (run.status === 0) return ''
  const lines = run.stderr.split('\n').filter((line) => /error|critical/i.test(line))
  return (lines.join('\n') || run.stderr).slice(0, 2_000)
}

test(`a real Envoy accepts what every proxy gets (seed ${SEED})`, { skip }, () => {
  const meshes = fc.sample(arbitraryMesh, { seed: SEED, numRuns: Math.min(RUNS, 40) })
  const perMesh = meshes.map((mesh) => translated(documentsOf(mesh)))
  if (complaint(perMesh.flat()) === '') return
  for (const [i, sets] of perMesh.entries()) {
    for (const set of sets) assert.equal(complaint([set]), '', JSON.stringify(meshes[i]))
  }
  assert.fail(complaint(perMesh.flat()))
})

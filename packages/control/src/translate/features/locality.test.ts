import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Locality } from '@weft/model'
import type { ServiceInstance } from '../../registries/registry.ts'
import { DEFAULT_MESH } from '../../snapshot/mesh-settings.ts'
import type { PolicyGroups } from '../clusters/applied-rule.ts'
import { endpointsOf } from '../clusters/endpoints.ts'
import { localityMatches, localityPreference } from './locality.ts'

const at = (text: string): Locality => {
  const [region = '', zone = '', subZone = ''] = text.split('/')
  return { region, zone, subZone }
}

const instance = (
  place: string,
  address: string,
  labels: Readonly<Record<string, string>> = {},
): ServiceInstance => ({
  servicePort: 80,
  address,
  port: 80,
  health: 'healthy',
  weight: 1,
  labels,
  locality: at(place),
})

const outlierDetection = { consecutive5xxErrors: 1 }

function ordered(
  policy: PolicyGroups,
  from: string,
  instances: readonly ServiceInstance[],
  labels: Readonly<Record<string, string>> = {},
  mesh = DEFAULT_MESH,
): readonly string[] {
  const proxy = { cluster: 'c', labels, locality: at(from) }
  const preference = localityPreference(policy, mesh, proxy)
  return endpointsOf('x', instances, 80, undefined, preference).localities.map(
    ({ locality: { region, zone, subZone }, priority, weight }) =>
      `${region}/${zone}/${subZone} P${priority} w${weight}`,
  )
}

const SPREAD = [
  instance('r1/z1/s1', '10.0.0.1'),
  instance('r1/z1/s2', '10.0.0.2'),
  instance('r1/z2/s1', '10.0.0.3'),
  instance('r2/z1/s1', '10.0.0.4'),
  instance('r3/z1/s1', '10.0.0.5'),
]

test('with outlier detection traffic stays near, and goes zone by zone, region by region', () => {
  assert.deepEqual(ordered({ outlierDetection }, 'r1/z1/s1', SPREAD), [
    'r1/z1/s1 P0 w1',
    'r1/z1/s2 P1 w1',
    'r1/z2/s1 P2 w1',
    'r2/z1/s1 P3 w1',
    'r3/z1/s1 P3 w1',
  ])
})

test('priorities have no gaps where localities are missing', () => {
  assert.deepEqual(ordered({ outlierDetection }, 'r1/z9/s1', SPREAD.slice(2)), [
    'r1/z2/s1 P0 w1',
    'r2/z1/s1 P1 w1',
    'r3/z1/s1 P1 w1',
  ])
})

test('failover says which region comes next', () => {
  const loadBalancer = { localityLbSetting: { failover: [{ from: 'r1', to: 'r3' }] } }
  assert.deepEqual(ordered({ outlierDetection, loadBalancer }, 'r1/z1/s1', SPREAD).slice(3), [
    'r3/z1/s1 P3 w1',
    'r2/z1/s1 P4 w1',
  ])
})

test('without outlier detection, when off, or when the caller is nowhere, localities are alike', () => {
  const alike = SPREAD.map(({ locality: l }) => `${l.region}/${l.zone}/${l.subZone} P0 w1`)
  assert.deepEqual(ordered({}, 'r1/z1/s1', SPREAD), alike)
  const off = { localityLbSetting: { enabled: false } }
  assert.deepEqual(ordered({ outlierDetection, loadBalancer: off }, 'r1/z1/s1', SPREAD), alike)
  const mesh = { ...DEFAULT_MESH, localityLb: undefined }
  assert.deepEqual(ordered({ outlierDetection }, 'r1/z1/s1', SPREAD, {}, mesh), alike)
  assert.deepEqual(ordered({ outlierDetection }, '', SPREAD), alike)
})

test('distribute gives localities their shares, and the rest nothing', () => {
  const distribute = [{ from: 'r1/z1/*', to: { 'r1/z1/*': 70, 'r1/z2/*': 20, 'r3/*': 10 } }]
  const loadBalancer = { localityLbSetting: { distribute } }
  assert.deepEqual(ordered({ loadBalancer }, 'r1/z1/s1', SPREAD), [
    'r1/z1/s1 P0 w35',
    'r1/z1/s2 P0 w35',
    'r1/z2/s1 P0 w20',
    'r3/z1/s1 P0 w10',
  ])
  assert.equal(ordered({ loadBalancer }, 'r9/z1/s1', SPREAD).length, SPREAD.length)
})

test('failoverPriority counts labels that agree from the first on, own values or written ones', () => {
  const loadBalancer = {
    localityLbSetting: { failoverPriority: ['topology.istio.io/network', 'version=v2'] },
  }
  const network = (value: string, version: string) => ({
    'topology.istio.io/network': value,
    version,
  })
  const instances = [
    instance('a', '10.0.0.1', network('n1', 'v2')),
    instance('b', '10.0.0.2', network('n1', 'v1')),
    instance('c', '10.0.0.3', network('n2', 'v2')),
  ]
  const own = { 'topology.istio.io/network': 'n1' }
  assert.deepEqual(ordered({ outlierDetection, loadBalancer }, '', instances, own), [
    'a// P0 w1',
    'b// P1 w1',
    'c// P2 w1',
  ])
})

test('a pattern names a locality by its parts, * and what is left out match all', () => {
  const cases: readonly (readonly [string, boolean])[] = [
    ['*', true],
    ['r1', true],
    ['r1/*', true],
    ['r1/z1', true],
    ['r1/z1/s1', true],
    ['r1/z1/*', true],
    ['r1/z2', false],
    ['r2/*', false],
    ['r1/z1/s2', false],
  ]
  for (const [pattern, expected] of cases) {
    assert.equal(localityMatches(at('r1/z1/s1'), pattern), expected, pattern)
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PathOrder } from '@weft/config'
import type { ServiceInstance } from '../../registries/registry.ts'
import { endpointsOf } from '../clusters/endpoints.ts'
import type { LocalityPreference } from './locality.ts'
import { hasSeveralPaths } from './paths.ts'

const instance = (address: string, region: string, isBrokered: boolean): ServiceInstance => ({
  ...{ servicePort: 80, address, port: 80, health: 'healthy', weight: 1, labels: {} },
  locality: { region, zone: '', subZone: '' },
  ...(isBrokered ? { path: 'broker' } : {}),
})

const ALL = [
  instance('10.0.0.1', 'eu', true),
  instance('10.0.0.2', 'us', false),
  instance('10.0.0.3', 'eu', false),
]

const FROM_EU: LocalityPreference = {
  kind: 'failover',
  from: { region: 'eu', zone: '', subZone: '' },
  failover: [],
}

function levels(paths: PathOrder | undefined, preference?: LocalityPreference) {
  const { localities } = endpointsOf(
    ...(['x', ALL, 80, undefined, preference, () => false, paths] as const),
  )
  const byPriority = Map.groupBy(localities, ({ priority }) => priority)
  return [...byPriority.values()].map((group) =>
    group.flatMap(({ endpoints }) => endpoints.map(({ address }) => address.host)).sort(),
  )
}

test('F5: directly before by a broker; localities count within a way', () => {
  const direct = ['10.0.0.2', '10.0.0.3']
  assert.deepEqual(levels(undefined), [direct, ['10.0.0.1']])
  assert.deepEqual(levels(['broker', 'direct']), [['10.0.0.1'], direct])
  assert.deepEqual(levels(undefined, FROM_EU), [['10.0.0.3'], ['10.0.0.2'], ['10.0.0.1']])
})

test('a way that is not named is not used, and any makes them alike', () => {
  assert.deepEqual(levels(['direct']), [['10.0.0.2', '10.0.0.3']])
  assert.deepEqual(levels(['broker']), [['10.0.0.1']])
  assert.deepEqual(levels('any'), [['10.0.0.1', '10.0.0.2', '10.0.0.3']])
})

test('several ways are those that lead to somebody', () => {
  const of = (instances: readonly ServiceInstance[]) =>
    hasSeveralPaths(endpointsOf('x', instances, 80, undefined))
  assert.equal(of(ALL), true)
  assert.equal(of(ALL.slice(0, 1)), false)
  assert.equal(of(ALL.slice(1)), false)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Document, parseDocuments } from '@weft/config'
import { seededRandom } from '@weft/testkit'
import { DEFAULT_PROXY } from '../translate/proxy-view.ts'
import { translate } from '../translate/translate.ts'
import { buildSnapshot } from './build.ts'
import { type MeshSnapshot, objectKey } from './mesh-snapshot.ts'

const SERVICE =
  '{apiVersion: v1, kind: Service, metadata: {name: api}, spec: {ports: [{port: 80, name: http}]}}'
const rule = (...subsets: string[]) =>
  `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: api}, spec: {host: api, subsets: [${subsets.map((name) => `{name: ${name}, labels: {version: ${name}}}`)}]}}`
const route = (subset: string, name = 'api') =>
  `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: ${name}}, spec: {hosts: [api], http: [{route: [{destination: {host: api, subset: ${subset}}}]}]}}`

function documents(...texts: string[]): readonly Document[] {
  const { documents: found, problems } = parseDocuments(texts.join('\n---\n'), {
    file: 'test.yaml',
  })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return found
}

function build(previous: MeshSnapshot | undefined, ...texts: string[]): MeshSnapshot {
  return buildSnapshot({ documents: documents(...texts), unresolved: 'hold' }, previous)
}

/** The clusters that routes send to and that are not there. */
function missingClusters(snapshot: MeshSnapshot): readonly string[] {
  const set = translate(snapshot, DEFAULT_PROXY)
  const targets = [...set.route.values()]
    .flatMap(({ virtualHosts }) => virtualHosts.flatMap(({ routes }) => routes))
    .flatMap(({ action }) => (action.kind === 'forward' ? action.targets : []))
  return targets.map(({ cluster }) => cluster).filter((name) => !set.cluster.has(name))
}

function subsetInForce(snapshot: MeshSnapshot): string | undefined {
  return snapshot.virtualServices[0]?.document.spec.http?.[0]?.route?.[0]?.destination.subset
}

const conditionOf = (snapshot: MeshSnapshot) =>
  snapshot.conditions.get(objectKey('VirtualService', 'default', 'api'))?.[0]

test('a new form that refers to nothing waits, and the old one stays in force', () => {
  const good = build(undefined, SERVICE, rule('v1'), route('v1'))
  const waiting = build(good, SERVICE, rule('v1'), route('v2'))
  assert.equal(subsetInForce(waiting), 'v1')
  assert.equal(conditionOf(waiting)?.status, false)
  assert.match(conditionOf(waiting)?.message ?? '', /subset v2 of api.* the last good form stays/)
  const resolved = build(waiting, SERVICE, rule('v1', 'v2'), route('v2'))
  assert.equal(subsetInForce(resolved), 'v2')
  assert.equal(conditionOf(resolved)?.status, true)
})

test('what is missing is said as it was written, with what there is and what was meant', () => {
  const to = (destination: string, namespace = 'default') =>
    `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: api, namespace: ${namespace}}, spec: {hosts: [x], http: [{route: [{destination: {${destination}}}]}]}}`
  const told = (destination: string, namespace = 'default') => {
    const snapshot = build(undefined, SERVICE, rule('v1', 'v2'), to(destination, namespace))
    const [condition] = snapshot.conditions.get(objectKey('VirtualService', namespace, 'api')) ?? []
    return condition?.message ?? ''
  }
  assert.match(
    told('host: apo, subset: v9'),
    /: host apo\.default\.\S+ does not exist, did you mean api\?;/,
  )
  assert.match(told('host: orders'), /: host orders\.default\.\S+ does not exist;/)
  assert.match(
    told('host: api, port: {number: 81}'),
    /: host api\S+ port 81 does not exist \(it has 80\);/,
  )
  assert.match(
    told('host: api, subset: v3'),
    /: subset v3 of api\S+ does not exist \(it has v1, v2\);/,
  )
  const foreign = told('host: apo.default.svc.cluster.local', 'shop')
  assert.match(
    foreign,
    /: host apo\S+ does not exist;/,
    'other namespaces are not told what there is',
  )
  const bare = build(undefined, SERVICE, route('v1'))
  assert.match(conditionOf(bare)?.message ?? '', /\(no DestinationRule names one\)/)
})

test('a subset that is deleted under a route lives on until no route uses it', () => {
  const good = build(undefined, SERVICE, rule('v1', 'v2'), route('v2'))
  const orphaned = build(good, SERVICE, rule('v1'), route('v2'))
  assert.deepEqual(missingClusters(orphaned), [])
  assert.equal(conditionOf(orphaned)?.status, false)
  const gone = build(orphaned, SERVICE, route('v2'))
  assert.deepEqual(missingClusters(gone), [])
  const moved = build(gone, SERVICE, rule('v1'), route('v1'))
  assert.deepEqual(missingClusters(moved), [])
  const subsets = moved.destinationRules.flatMap(({ spec }) => spec.subsets ?? [])
  assert.deepEqual(
    subsets.map(({ name }) => name),
    ['v1'],
  )
})

test('whatever the order of applying and deleting, no route ever lacks its cluster', () => {
  const seed = Number(process.env.SEED ?? 20_261_121)
  const random = seededRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T
  const subsets = [[], ['v1'], ['v2'], ['v1', 'v2'], ['v1', 'v2', 'v3']]
  for (let round = 0; round < 50; round++) {
    let snapshot = build(undefined, SERVICE)
    let currentRule: string | undefined
    let currentRoute: string | undefined
    for (let step = 0; step < 12; step++) {
      if (random() < 0.5) {
        const chosen = pick(subsets)
        currentRule = chosen.length === 0 ? undefined : rule(...chosen)
      } else {
        currentRoute = random() < 0.2 ? undefined : route(pick(['v1', 'v2', 'v3', 'v9']))
      }
      const texts = [SERVICE, currentRule, currentRoute].filter((text) => text !== undefined)
      snapshot = build(snapshot, ...texts)
      assert.deepEqual(missingClusters(snapshot), [], `seed ${seed} round ${round} step ${step}`)
    }
  }
})

test('without a mesh that runs, as for simulate, unresolved routes are served as Istio does', () => {
  const snapshot = buildSnapshot({ documents: documents(SERVICE, route('v9')) })
  assert.deepEqual(missingClusters(snapshot), ['outbound|80|v9|api.default.svc.cluster.local'])
})

test('the order of documents changes nothing, and equal content is the same snapshot', () => {
  const seed = Number(process.env.SEED ?? 7)
  const random = seededRandom(seed)
  const texts = [SERVICE, rule('v1', 'v2'), route('v1', 'b'), route('v2', 'a'), route('v1', 'c')]
  const all = documents(...texts)
  const first = buildSnapshot({ documents: all })
  for (let i = 0; i < 30; i++) {
    const shuffled = all
      .map((one) => ({ one, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ one }) => one)
    assert.equal(
      buildSnapshot({ documents: shuffled }).generation,
      first.generation,
      `seed ${seed}`,
    )
    assert.equal(buildSnapshot({ documents: shuffled }, first), first)
  }
})

test('what a change does not touch is the same object in the next snapshot', () => {
  const all = documents(SERVICE, rule('v1'), route('v1'))
  const first = buildSnapshot({ documents: all })
  const more = documents(
    '{apiVersion: v1, kind: Service, metadata: {name: new}, spec: {ports: [{port: 1}]}}',
  )
  const second = buildSnapshot({ documents: [...all, ...more] }, first)
  assert.notEqual(second.generation, first.generation)
  const host = 'api.default.svc.cluster.local'
  assert.equal(second.services.get(host), first.services.get(host))
  assert.equal(second.virtualServices[0], first.virtualServices[0])
})

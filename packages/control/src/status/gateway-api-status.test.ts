import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { ResourceSet } from '@weft/model'
import { type ConnectionStatus, TYPE_URLS } from '@weft/xds'
import { buildSnapshot } from '../snapshot/build.ts'
import { DEFAULT_PROXY } from '../translate/proxy-view.ts'
import { translate } from '../translate/translate.ts'
import { rollUp } from './delivery.ts'
import { objectStatuses } from './object-statuses.ts'

const text = (port: number) => `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: weft, generation: 1}
spec: {controllerName: weft.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, generation: 7}
spec:
  gatewayClassName: weft
  listeners:
  - {name: http, port: ${port}, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}]}}
  - {name: secure, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: gone}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, generation: 3}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{name: api, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: g}
spec: {parentRefs: [{name: gw, sectionName: http}]}
`

/** Statuses of one mesh, with proxies that have accepted these generations (`now`: the newest). */
function statusesOf(...args: Parameters<typeof judged>) {
  return new Map(judged(...args).map(({ kind, status }) => [kind, status]))
}

function judged(acked: readonly string[], written = text(80), built = text(80)) {
  const parse = (one: string) => parseDocuments(one, { file: 'gw.yaml' }).documents
  const snapshot = buildSnapshot({ documents: parse(built) })
  const set = translate(snapshot, { ...DEFAULT_PROXY, role: 'gateway' })
  const deliveries = acked.map((generation, id) => ({
    connection: {
      id,
      ackedGeneration: generation === 'now' ? snapshot.generation : generation,
      types: acceptedOf(set),
    } as unknown as ConnectionStatus,
    name: `edge-${id}`,
    set,
  }))
  return objectStatuses({
    state: { documents: parse(written), problems: [], refused: [] },
    snapshot,
    applied: rollUp(deliveries, snapshot.generation),
    analysis: [],
  })
}

/** All that listeners and clusters refer to. */
function acceptedOf(set: ResourceSet) {
  return (['route', 'endpoints', 'secret'] as const).map((type) => ({
    typeUrl: TYPE_URLS[type],
    resources: [...set[type].keys()].map((name) => ({ name, state: 'acked' })),
  }))
}

test('a proxy that has the listeners and not yet their routes is not current', () => {
  const { documents } = parseDocuments(text(80), { file: 'gw.yaml' })
  const snapshot = buildSnapshot({ documents })
  const set = translate(snapshot, { ...DEFAULT_PROXY, role: 'gateway' })
  const currentWith = (types: readonly object[]) => {
    const { generation } = snapshot
    const connection = { id: 0, ackedGeneration: generation, types } as unknown as ConnectionStatus
    const applied = rollUp([{ connection, name: 'edge', set }], generation)
    return [...applied.values()].some(({ current }) => current > 0)
  }
  assert.equal(currentWith(acceptedOf(set)), true)
  assert.equal(currentWith(acceptedOf({ ...set, route: new Map() })), false)
})

interface Written {
  readonly conditions: readonly {
    readonly type: string
    readonly status: string
    readonly reason: string
    readonly observedGeneration?: number
  }[]
  readonly listeners: readonly (Written & {
    readonly name: string
    readonly attachedRoutes: number
    readonly supportedKinds: readonly { readonly kind: string }[]
  })[]
  readonly parents: readonly Written[]
  readonly supportedFeatures: readonly { readonly name: string }[]
}

function lines(written: Written | undefined): readonly string[] {
  return (written?.conditions ?? []).map(
    ({ type, status, reason, observedGeneration }) =>
      `${type}=${status} ${reason} ${observedGeneration}`,
  )
}

function gatewayOf(...args: Parameters<typeof statusesOf>): Written {
  return statusesOf(...args).get('Gateway') as unknown as Written
}

test('a gateway is programmed when every proxy has the generation that holds it, not before', () => {
  const programmed = (...args: Parameters<typeof statusesOf>) =>
    lines(gatewayOf(...args)).find((line) => line.startsWith('Programmed'))
  assert.equal(programmed(['now', 'now']), 'Programmed=True Programmed 7')
  assert.equal(programmed(['now', 'before']), 'Programmed=False Pending 7')
  assert.equal(programmed([]), 'Programmed=False Pending 7')
  // The change is read, and not built yet: what the proxies accepted is the form before it.
  assert.equal(programmed(['now'], text(81), text(80)), 'Programmed=False Pending 7')
})

test('each listener says what it carries, how many routes it has, and what is wrong with it', () => {
  const { listeners, conditions } = gatewayOf(['now'])
  const [http, secure] = listeners
  assert.deepEqual(http?.supportedKinds, [
    { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute' },
  ])
  assert.equal(http?.attachedRoutes, 1, 'the GRPCRoute is of a kind that is not allowed')
  assert.equal(secure?.attachedRoutes, 1, 'counted although the listener is not served')
  assert.deepEqual(lines(http), [
    'Accepted=True Accepted 7',
    'Conflicted=False NoConflicts 7',
    'ResolvedRefs=True ResolvedRefs 7',
    'Programmed=True Programmed 7',
  ])
  assert.deepEqual(lines(secure), [
    'Accepted=True Accepted 7',
    'Conflicted=False NoConflicts 7',
    'ResolvedRefs=False InvalidCertificateRef 7',
    'Programmed=False Invalid 7',
  ])
  assert.equal(conditions[0]?.reason, 'ListenersNotValid')
})

test('routes answer parent by parent, the class with its features', () => {
  const statuses = statusesOf(['now'])
  const route = statuses.get('HTTPRoute') as unknown as Written
  assert.deepEqual(route.parents.map(lines), [
    ['Accepted=True Accepted 3', 'ResolvedRefs=False BackendNotFound 3'],
  ])
  const grpc = statuses.get('GRPCRoute') as unknown as Written
  assert.equal(grpc.parents[0]?.conditions[0]?.reason, 'NotAllowedByListeners')
  const parsed = statuses.get('GatewayClass') as unknown as Written
  assert.deepEqual(lines(parsed), [
    'Accepted=True Accepted 1',
    'SupportedVersion=True SupportedVersion 1',
  ])
  const names = parsed.supportedFeatures.map(({ name }) => name)
  assert.deepEqual(names, names.toSorted())
})

const WITH_SETS = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: infra}
spec:
  gatewayClassName: weft
  allowedListeners: {namespaces: {from: All}}
  listeners: [{name: own, port: 80, protocol: HTTP, hostname: own.example}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: young, namespace: a, creationTimestamp: '2026-01-02T00:00:00Z'}
spec:
  parentRef: {name: gw, namespace: infra}
  listeners:
  - {name: shared, port: 80, protocol: HTTP, hostname: '*.shared.example'}
  - {name: unique, port: 80, protocol: HTTP, hostname: a.example}
  - {name: raw, port: 80, protocol: TCP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: old, namespace: b, creationTimestamp: '2026-01-01T00:00:00Z'}
spec:
  parentRef: {name: gw, namespace: infra}
  listeners:
  - {name: shared, port: 80, protocol: HTTP, hostname: '*.shared.example'}
  - {name: more, port: 80, protocol: HTTP, hostname: x.shared.example}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: none, namespace: b, creationTimestamp: '2026-01-03T00:00:00Z'}
spec:
  parentRef: {name: gw, namespace: infra}
  listeners: [{name: taken, port: 80, protocol: HTTP, hostname: own.example}]
`

test('of two objects the Gateway’s listener wins, then the older set’s; the loser says so in all three conditions', () => {
  const conditionsOf = ({ conditions = [] }: Partial<Written> = {}) =>
    Object.fromEntries(conditions.map(({ type, status, reason }) => [type, `${status} ${reason}`]))
  const statuses = judged(['now'], WITH_SETS, WITH_SETS)
  const setOf = (wanted: string) => {
    const status = statuses.find(({ name }) => name === wanted)?.status as unknown as Written
    return {
      whole: conditionsOf(status),
      of: (listener: string) =>
        conditionsOf(status.listeners.find(({ name }) => name === listener)),
    }
  }
  const lost = (reason: string) => ({
    Accepted: `False ${reason}`,
    Conflicted: `True ${reason}`,
    Programmed: `False ${reason}`,
    ResolvedRefs: 'True ResolvedRefs',
  })
  const won = {
    Accepted: 'True Accepted',
    Conflicted: 'False NoConflicts',
    Programmed: 'True Programmed',
    ResolvedRefs: 'True ResolvedRefs',
  }
  const [young, old, none] = [setOf('young'), setOf('old'), setOf('none')]
  assert.deepEqual(old.of('shared'), won)
  assert.deepEqual(old.of('more'), won, 'a host inside of a wildcard is another one')
  assert.deepEqual(young.of('shared'), lost('HostnameConflict'))
  assert.deepEqual(young.of('unique'), won)
  assert.deepEqual(young.of('raw'), lost('ProtocolConflict'))
  assert.deepEqual(none.of('taken'), lost('HostnameConflict'))
  assert.equal(old.whole.Accepted, 'True Accepted')
  assert.equal(young.whole.Accepted, 'True ListenersNotValid')
  assert.equal(young.whole.Programmed, 'True Programmed')
  assert.deepEqual(
    [none.whole.Accepted, none.whole.Programmed],
    ['False ListenersNotValid', 'False ListenersNotValid'],
  )
  const gateway = statuses.find(({ kind }) => kind === 'Gateway')?.status as unknown as Written
  assert.deepEqual(conditionsOf(gateway.listeners[0]), won)
})

test('a port that one of the proxies cannot bind is PortUnavailable of its listener; the rest is programmed', () => {
  const ports = text(80).replace('port: 443, protocol: HTTPS, tls', 'port: 81, protocol: HTTP, x')
  const { documents } = parseDocuments(ports.replace(/, x: .*$/m, '}'), { file: 'gw.yaml' })
  const snapshot = buildSnapshot({ documents })
  const set = translate(snapshot, { ...DEFAULT_PROXY, role: 'gateway' })
  const [first, second] = [...set.listener.keys()]
  assert.deepEqual([first, second], ['0.0.0.0_80', '0.0.0.0_81'])
  const { generation } = snapshot
  const message = "cannot bind '0.0.0.0:81': Address already in use"
  const delivery = (name: string, isUnbound: boolean) => {
    const unbound = { name: second, state: 'rejected', message, isUnbound }
    const listeners = [{ name: first, state: 'acked' }, isUnbound ? unbound : { name: second }]
    const types = [
      { typeUrl: TYPE_URLS.listener, resources: listeners },
      ...acceptedOf(set).map((type) => ({
        ...type,
        // Nobody asks for the routes of a listener that is refused.
        resources: type.resources.filter((one) => !isUnbound || !/81$/.test(one.name)),
      })),
    ]
    const connection = { ackedGeneration: generation, types } as unknown as ConnectionStatus
    return { connection, name, set }
  }
  const statuses = objectStatuses({
    state: { documents, problems: [], refused: [] },
    snapshot,
    applied: rollUp([delivery('a', false), delivery('b', true)], generation),
    analysis: [],
  })
  const own = statuses.find(({ kind }) => kind === 'Gateway')
  const lines = (own?.conditions ?? []).map(
    ({ where = 'gateway', type, status, reason }) => `${where}: ${type}=${status} ${reason}`,
  )
  const asked = /: (Accepted|Programmed)=/
  assert.deepEqual(
    lines.filter((line) => asked.test(line)),
    [
      'gateway: Accepted=true ListenersNotValid',
      'listener http: Accepted=true Accepted',
      'listener secure: Accepted=false PortUnavailable',
      'gateway: Programmed=true Programmed',
    ],
  )
  const said = own?.conditions.find(({ reason }) => reason === 'PortUnavailable')?.message
  assert.equal(said, `1 of 2 gateway proxies cannot serve it; b: ${message}`)
})

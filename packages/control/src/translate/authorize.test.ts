/** Which policies hold where, and what they become. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments } from '@weft/config'
import type { FilterChain, HttpFilterConfig, RbacFilter, RbacPolicy } from '@weft/model'
import { buildSnapshot } from '../snapshot/build.ts'
import { DEFAULT_PROXY, type ProxyView } from './proxy-view.ts'
import { translate } from './translate.ts'
import { GATEWAY, SIDECAR, WEB_SERVICE } from './web-fixture.ts'

const MESH = `${WEB_SERVICE}---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: weft
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "{trustDomain: new.example, trustDomainAliases: [old.example]}"}
`

interface Written {
  readonly name?: string
  readonly namespace?: string
  readonly dryRun?: boolean
  readonly spec: object
}

function listenersOf(policies: readonly Written[], view: Partial<ProxyView>) {
  const objects = policies.map(({ name = 'p', namespace = 'default', dryRun, spec }) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: {
      name,
      namespace,
      ...(dryRun === undefined ? {} : { annotations: { 'istio.io/dry-run': `${dryRun}` } }),
    },
    spec,
  }))
  const text = [MESH, ...objects.map((one) => JSON.stringify(one))].join('\n---\n')
  const { documents, problems } = parseDocuments(text, { file: 'in.yaml' })
  assert.deepEqual(
    problems.filter(({ severity }) => severity === 'error'),
    [],
  )
  return translate(buildSnapshot({ documents }), { ...DEFAULT_PROXY, ...view }).listener
}

/** Of every chain: one may be there for each way to come in. */
function chainsOf(policies: readonly Written[], view: Partial<ProxyView>, listener: string) {
  const found = listenersOf(policies, view).get(listener)
  assert.ok(found !== undefined, `${listener} of ${[...listenersOf(policies, view).keys()]}`)
  const chains = [...found.filterChains]
  return found.defaultFilterChain === undefined ? chains : [...chains, found.defaultFilterChain]
}

function httpSteps(chain: FilterChain | undefined): readonly RbacFilter[] {
  const filters: readonly HttpFilterConfig[] =
    chain?.filter.kind === 'http' ? chain.filter.filters : []
  return filters.filter((one) => one.kind === 'rbac')
}

const WEB = 'weft:inbound|80'
const DB = 'weft:inbound|5432'
const ALLOW_ALL = { rules: [{}] }

function webSteps(...policies: readonly Written[]): readonly RbacFilter[] {
  const [first, ...others] = chainsOf(policies, SIDECAR, WEB)
    .filter(({ filter }) => filter.kind === 'http')
    .map(httpSteps)
  for (const other of others) assert.deepEqual(other, first)
  return first ?? []
}

const namesOf = (steps: readonly RbacFilter[]) =>
  steps.map(({ rules }) => `${rules?.action}: ${rules?.policies.map(({ name }) => name).join(' ')}`)

test('DENY stands before ALLOW and AUDIT, each policy under its name, with its lines', () => {
  const steps = webSteps(
    { name: 'b', spec: { rules: [{}, {}] } },
    { name: 'a', namespace: 'istio-system', spec: ALLOW_ALL },
    { name: 'log', spec: { action: 'AUDIT', ...ALLOW_ALL } },
    { name: 'no', spec: { action: 'DENY', ...ALLOW_ALL } },
  )
  assert.deepEqual(namesOf(steps), [
    'deny: ns[default]-policy[no]-rule[0]',
    'allow: ns[default]-policy[b]-rule[0] ns[default]-policy[b]-rule[1] ns[istio-system]-policy[a]-rule[0]',
    'log: ns[default]-policy[log]-rule[0]',
  ])
  const [origin] = steps[0]?.rules?.policies[0]?.origins ?? []
  assert.equal(origin?.path, 'spec.rules[0]')
  assert.equal(origin?.file, 'in.yaml')
  assert.equal(typeof origin?.line, 'number')
})

test('policies on trial are shadow rules, and alone enforce nothing', () => {
  const both = webSteps(
    { name: 'on', spec: ALLOW_ALL },
    { name: 'trial', dryRun: true, spec: ALLOW_ALL },
  )
  assert.equal(both[0]?.rules?.policies[0]?.name, 'ns[default]-policy[on]-rule[0]')
  assert.equal(both[0]?.shadowRules?.policies[0]?.name, 'ns[default]-policy[trial]-rule[0]')
  assert.equal(both[0]?.shadowStatPrefix, 'istio_dry_run_allow_')
  const [alone] = webSteps({ dryRun: true, spec: { action: 'DENY', ...ALLOW_ALL } })
  assert.equal(alone?.rules, undefined)
  assert.equal(alone?.shadowStatPrefix, 'istio_dry_run_deny_')
})

test('namespace, root namespace and labels say for whom a policy is', () => {
  const count = (written: Omit<Written, 'spec'>, spec: object = {}) =>
    webSteps({ ...written, spec: { ...ALLOW_ALL, ...spec } }).length
  assert.equal(count({}), 1)
  assert.equal(count({ namespace: 'istio-system' }), 1)
  assert.equal(count({ namespace: 'other' }), 0)
  assert.equal(count({}, { selector: { matchLabels: { app: 'web' } } }), 1)
  assert.equal(count({}, { selector: { matchLabels: { app: 'other' } } }), 0)
  assert.equal(
    count({ namespace: 'istio-system' }, { selector: { matchLabels: { app: 'web' } } }),
    1,
  )
  assert.equal(count({ namespace: 'other' }, { selector: { matchLabels: { app: 'web' } } }), 0)
})

test('a target is a Service behind a port, a Gateway, or in the root namespace its class', () => {
  const targeted = (kind: string, name: string, group = '') => ({
    ...ALLOW_ALL,
    targetRefs: [{ kind, name, group }],
  })
  assert.equal(webSteps({ spec: targeted('Service', 'web') }).length, 1)
  assert.equal(webSteps({ spec: targeted('Service', 'other') }).length, 0)
  assert.equal(webSteps({ namespace: 'other', spec: targeted('Service', 'web') }).length, 0)
  const api = 'gateway.networking.k8s.io'
  const edge = (written: Written) => {
    const [chain] = [...listenersOf([written], GATEWAY).values()].flatMap(
      ({ filterChains }) => filterChains,
    )
    assert.ok(chain !== undefined)
    return httpSteps(chain).length
  }
  assert.equal(edge({ spec: targeted('Gateway', 'edge', api) }), 1)
  assert.equal(edge({ spec: targeted('Gateway', 'other', api) }), 0)
  assert.equal(edge({ spec: targeted('GatewayClass', 'weft', api) }), 0)
  assert.equal(edge({ namespace: 'istio-system', spec: targeted('GatewayClass', 'weft', api) }), 1)
  assert.equal(edge({ spec: targeted('Service', 'web') }), 0)
  assert.equal(edge({ spec: ALLOW_ALL }), 1)
})

test('what a workload calls is not judged, and without policies nothing changes', () => {
  const outbound = chainsOf([{ spec: ALLOW_ALL }], SIDECAR, 'weft:outbound')
  assert.ok(outbound.every((chain) => httpSteps(chain).length === 0 && chain.rbac === undefined))
  assert.deepEqual(webSteps(), [])
})

function tcpPolicies(spec: object): readonly RbacPolicy[] | undefined {
  const chains = chainsOf([{ spec }], SIDECAR, DB).filter(({ filter }) => filter.kind === 'tcp')
  assert.ok(chains.length > 0)
  return chains[0]?.rbac?.[0].rules?.policies
}

test('on TCP, HTTP fields make an ALLOW rule hold for nobody and are left out of a DENY rule', () => {
  const rule = { to: [{ operation: { paths: ['/a'], ports: ['5432'] } }] }
  assert.deepEqual(tcpPolicies({ rules: [rule] }), [])
  const denied = tcpPolicies({ action: 'DENY', rules: [rule] })
  assert.deepEqual(denied?.[0]?.permissions, [{ kind: 'any' }])
  const mixed = { from: [{ source: { namespaces: ['a'], requestPrincipals: ['*'] } }] }
  assert.deepEqual(tcpPolicies({ rules: [mixed] }), [])
  const [principal] = tcpPolicies({ action: 'DENY', rules: [mixed] })?.[0]?.principals ?? []
  assert.equal(principal?.kind, 'authenticated')
})

test('a policy names the port of the workload, not that of its proxy', () => {
  const permissions = (port: string) =>
    tcpPolicies({ rules: [{ to: [{ operation: { ports: [port] } }] }] })?.[0]?.permissions
  const never = [{ kind: 'not', of: { kind: 'any' } }]
  assert.deepEqual(permissions('5432'), [{ kind: 'any' }])
  assert.deepEqual(permissions('35432'), [{ kind: 'any' }])
  assert.deepEqual(permissions('25432'), never)
  assert.deepEqual(permissions('80'), never)
})

test('without rules ALLOW has a policy that matches nobody', () => {
  const [step] = webSteps({ spec: {} })
  const [policy] = step?.rules?.policies ?? []
  assert.equal(step?.rules?.action, 'allow')
  assert.deepEqual(policy?.principals, [{ kind: 'not', of: { kind: 'any' } }])
})

test('other names of the trust domain are the same domain', () => {
  const principals = (value: string) =>
    webSteps({ spec: { rules: [{ from: [{ source: { principals: [value] } }] }] } })[0]?.rules
      ?.policies[0]?.principals[0]
  const exact = (value: string) => ({
    kind: 'authenticated',
    name: { kind: 'exact', value: `spiffe://${value}`, ignoreCase: false },
  })
  const either = {
    kind: 'oneOf',
    of: [exact('new.example/ns/a/sa/b'), exact('old.example/ns/a/sa/b')],
  }
  assert.deepEqual(principals('old.example/ns/a/sa/b'), either)
  assert.deepEqual(principals('cluster.local/ns/a/sa/b'), either)
  assert.deepEqual(principals('foreign.example/ns/a/sa/b'), exact('foreign.example/ns/a/sa/b'))
})

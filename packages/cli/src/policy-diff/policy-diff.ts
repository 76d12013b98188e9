/**
 * Which calls a change of policies newly allows or denies. Every workload is asked by what its proxy
 * would be told before and after, once for each combination of what policies can tell apart: the
 * answer is complete as far as `gaps` is empty.
 */
import type { FilterChain, Permission, Principal } from '@weft/model'
import { DestinationJudge } from '../access/authorize-call.ts'
import { type Destination, inboundListeners } from '../access/destination.ts'
import type { MeshView } from '../access/mesh-view.ts'
import { type Call, parseCalls } from '../simulate/call.ts'
import type { Authorization } from '../simulate/result.ts'
import { type Dimension, dimensionsOf } from './dimensions.ts'
import { matchersOf } from './matchers.ts'
import { ResidualRules } from './residual.ts'

export interface PolicyChange {
  readonly verdict: 'allowed' | 'denied' | 'asked'
  /** `namespace/workload`. */
  readonly to: string
  /** Of the workload; `other`: all that no service and no policy names. */
  readonly ports: readonly (number | 'other')[]
  readonly protocol: 'http' | 'tcp'
  /** By dimension; those that do not matter are left out. */
  readonly calls: Readonly<Record<string, Classes>>
  readonly example: Readonly<Record<string, unknown>>
  readonly before: Pick<Authorization, 'decision' | 'policy' | 'rule' | 'because'>
  readonly after: Pick<Authorization, 'decision' | 'policy' | 'rule' | 'because'>
}

/** `but`: all classes but these. */
export type Classes = { readonly of: readonly string[] } | { readonly but: readonly string[] }

export interface PolicyDiff {
  readonly changes: readonly PolicyChange[]
  /** Why the answer may lack something; empty: it is whole. */
  readonly gaps: readonly string[]
}

export function policyDiff(before: MeshView, after: MeshView): PolicyDiff {
  const changes: PolicyChange[] = []
  const gaps = new Set<string>()
  const old = new Map(before.everybody().map((one) => [one.name, one]))
  const { trustDomain, trustDomainAliases } = after.snapshot.mesh
  for (const now of after.everybody()) {
    const was = old.get(now.name)
    if (was === undefined || guardsText(was) === guardsText(now)) continue
    const found = destinationChanges(was, now, [trustDomain, ...trustDomainAliases])
    changes.push(...joinedPorts(found.flatMap((one) => one.changes)))
    for (const gap of found.flatMap((one) => one.gaps)) gaps.add(`${now.name}: ${gap}`)
  }
  return { changes, gaps: [...gaps] }
}

/** What is the same at several ports is said once. */
function joinedPorts(changes: readonly PolicyChange[]): readonly PolicyChange[] {
  const alike = Map.groupBy(changes, ({ verdict, protocol, calls }) =>
    JSON.stringify([verdict, protocol, calls]),
  )
  return [...alike.values()].flatMap((group) =>
    group.slice(0, 1).map((one) => ({ ...one, ports: group.flatMap(({ ports }) => ports) })),
  )
}

/** Equal where nothing about who gets in is different. */
function guardsText(destination: Destination): string {
  return JSON.stringify(chainsOf(destination), (key, value: unknown) =>
    key === 'origins' ? undefined : value,
  )
}

function chainsOf(destination: Destination): readonly FilterChain[] {
  return inboundListeners(destination).flatMap(({ filterChains, defaultFilterChain }) =>
    defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain],
  )
}

function destinationChanges(
  was: Destination,
  now: Destination,
  trustDomains: readonly string[],
): readonly PolicyDiff[] {
  return portsOf(was, now).map((port) => {
    const judged = judgedPort(was, now, port, trustDomains)
    return { changes: changesAt(judged), gaps: judged.gaps }
  })
}

interface Port {
  readonly number: number
  readonly isNamed: boolean
  readonly protocol: 'http' | 'tcp'
}

/** Stands for all ports that nobody names. */
const OTHER_PORTS = [49_999, 49_998, 49_997]

function portsOf(was: Destination, now: Destination): readonly Port[] {
  const served = new Set([was, now].flatMap(({ ports }) => ports.map(({ port }) => port)))
  const named = (numbers: Iterable<number>) =>
    [...numbers].flatMap((number) =>
      protocolsAt(now, number).map((protocol) => ({ number, isNamed: true, protocol })),
    )
  // Who joins by himself has no port but those that he offers.
  if (now.proxy.offers.length > 0) return named(served)
  const written = [was, now].flatMap((one) => chainsOf(one).flatMap(portsInRules))
  const all = new Set([...served, ...written])
  const other = OTHER_PORTS.find((one) => !all.has(one))
  const rest =
    other === undefined ? [] : [{ number: other, isNamed: false, protocol: 'http' as const }]
  return [...named(all), ...rest]
}

function protocolsAt(destination: Destination, port: number): readonly Port['protocol'][] {
  const kinds = inboundListeners(destination).flatMap(({ name, filterChains }) =>
    filterChains.flatMap(({ match, filter, name: chain }) => {
      const isOfPort = match.destinationPort === port || name === `weft:inbound|${port}`
      // TLS of the application itself is bytes on every port.
      return isOfPort && !chain.endsWith('-own-tls') ? [filter.kind] : []
    }),
  )
  return kinds.length === 0 ? ['http'] : [...new Set(kinds)]
}

function portsInRules({ filter, rbac }: FilterChain): readonly number[] {
  const steps = [...(rbac ?? []), ...(filter.kind === 'http' ? filter.filters : [])]
  return steps.flatMap((step) => {
    const all = 'rules' in step && step.rules !== undefined ? step.rules.policies : []
    return all.flatMap(({ permissions }) => permissions.flatMap(portsIn))
  })
}

function portsIn(one: Permission | Principal): readonly number[] {
  if (one.kind === 'destinationPort') return [one.from, one.to]
  if (one.kind === 'not') return portsIn(one.of)
  return one.kind === 'allOf' || one.kind === 'oneOf' ? one.of.flatMap(portsIn) : []
}

export interface JudgedPort {
  readonly to: string
  readonly port: Port
  readonly dimensions: readonly Dimension[]
  /** Side by side: no call is in two of them. */
  readonly boxes: readonly Box[]
  readonly base: Call
  readonly before: DestinationJudge
  readonly after: DestinationJudge
  readonly gaps: readonly string[]
}

/** Combinations of classes whose fate changes. */
interface Box {
  readonly verdict: PolicyChange['verdict']
  /** Of each dimension the classes that are in it. */
  readonly sides: readonly (readonly number[])[]
}

const MAX_STEPS = 1_000_000

/** Follows what policies tell apart at one port of a workload, dimension by dimension. */
export function judgedPort(
  was: Destination,
  now: Destination,
  port: Port,
  trustDomains: readonly string[],
): JudgedPort {
  const chains = [...chainsOf(was), ...chainsOf(now)]
  const { all: dimensions, gaps } = dimensionsOf(
    matchersOf(chains),
    trustDomains,
    port.protocol === 'http',
  )
  const before = new DestinationJudge(was)
  const after = new DestinationJudge(now)
  const base = baseCall(now, port)
  const rests = [
    ...chainsAt(was, port).map((chain) => new ResidualRules(chain, port.number)),
    ...chainsAt(now, port).map((chain) => new ResidualRules(chain, port.number)),
  ]
  const names = new Set(dimensions.map(({ name }) => name))
  const known = new Map<string, readonly Box[]>()
  let left = MAX_STEPS
  const visit = (call: Call, chosen: ReadonlyMap<string, number>, at: number): readonly Box[] => {
    if (left-- <= 0) return []
    const dimension = dimensions[at]
    if (dimension === undefined) {
      const verdict = verdictOf(before.decide(call), after.decide(call))
      return verdict === undefined ? [] : [{ verdict, sides: [] }]
    }
    const results = dimension.classes.map(({ value }, i) => {
      const next = dimension.with(call, value)
      const taken = new Map([...chosen, [dimension.name, i]])
      const key = `${at} ${wayOf(taken)} ${rests.map((one) => one.rest(next, taken)).join('\n\n')}`
      const found = known.get(key) ?? visit(next, taken, at + 1)
      known.set(key, found)
      return found
    })
    return joinedClasses(results)
  }
  const boxes = visit(base, unasked(names), 0)
  const cut = left < 0 ? [`port ${port.number}: more than ${MAX_STEPS} combinations`] : []
  return { to: now.name, port, dimensions, boxes, base, before, after, gaps: [...gaps, ...cut] }
}

/** Dimensions that have one class only are chosen from the start. */
function unasked(names: ReadonlySet<string>): ReadonlyMap<string, number> {
  const all = ['from', 'source ip', 'client ip', 'destination ip', 'server name']
  return new Map(
    [...all, 'method', 'path', 'host', 'token'].flatMap((name) =>
      names.has(name) ? [] : [[name, 0]],
    ),
  )
}

/** What decides more than rules do: which chain is taken, whether a token is believed. */
function wayOf(chosen: ReadonlyMap<string, number>): string {
  return `${chosen.get('from') === 0} ${chosen.get('server name')} ${chosen.get('token')}`
}

/** Classes with one and the same rest are one side of a box. */
function joinedClasses(results: readonly (readonly Box[])[]): readonly Box[] {
  const alike = Map.groupBy(results.keys(), (i) => results[i])
  return [...alike].flatMap(([boxes = [], classes]) =>
    boxes.map(({ verdict, sides }) => ({ verdict, sides: [classes, ...sides] })),
  )
}

/** Both of the mesh's TLS and of plaintext; their guards are the same. */
function chainsAt(destination: Destination, { number, protocol }: Port): readonly FilterChain[] {
  const own = inboundListeners(destination).flatMap(({ name, filterChains, defaultFilterChain }) =>
    [...filterChains, ...(defaultFilterChain === undefined ? [] : [defaultFilterChain])].filter(
      ({ match, filter }) =>
        filter.kind === protocol &&
        (match.destinationPort === number || name === `weft:inbound|${number}`),
    ),
  )
  return own.length > 0
    ? own.slice(0, 1)
    : chainsOf(destination)
        .filter(
          ({ match, filter }) => filter.kind === protocol && match.destinationPort === undefined,
        )
        .slice(0, 1)
}

function baseCall({ name }: Destination, { number, protocol }: Port): Call {
  const [namespace = '', workload = ''] = name.split('/')
  const host = `${workload}.${namespace}.svc.cluster.local`
  const text = JSON.stringify({ host, port: number, protocol, destination: { port: number } })
  const [call] = parseCalls(text).calls
  if (call === undefined) throw new Error('Cannot build a call: one object is one call')
  return call
}

type Decision = Authorization['decision']

function verdictOf(before: Decision, after: Decision): PolicyChange['verdict'] | undefined {
  if (before === after) return undefined
  return ({ allow: 'allowed', deny: 'denied', custom: 'asked' } as const)[after]
}

function changesAt(judged: JudgedPort): readonly PolicyChange[] {
  const byVerdict = Map.groupBy(judged.boxes, ({ verdict }) => verdict)
  return [...byVerdict.values()].flatMap((boxes) =>
    joinedBoxes(boxes).map((box) => changeOf(judged, box)),
  )
}

/** Boxes side by side become one: dimension by dimension, those that are alike in all others. */
function joinedBoxes(all: readonly Box[]): readonly Box[] {
  let boxes = all
  const count = all[0]?.sides.length ?? 0
  for (let at = 0; at < count; at++) {
    const alike = Map.groupBy(boxes, ({ sides }) =>
      sides.map((side, i) => (i === at ? '*' : side.join())).join(' '),
    )
    boxes = [...alike.values()].flatMap((group) => {
      const [first] = group
      if (first === undefined) return []
      const joined = [...new Set(group.flatMap(({ sides }) => sides[at] ?? []))]
      const side = joined.sort((a, b) => a - b)
      return [{ ...first, sides: first.sides.map((one, i) => (i === at ? side : one)) }]
    })
  }
  return boxes
}

function changeOf(judged: JudgedPort, { sides, verdict }: Box): PolicyChange {
  const { to, port, dimensions, before, after, base } = judged
  const calls = dimensions.flatMap(({ name, classes }, i) => {
    const side = sides[i] ?? []
    if (side.length === classes.length) return []
    return [[name, classesOf(side, classes)] as const]
  })
  const chosen = dimensions.map(({ classes }, i) => classes[sides[i]?.[0] ?? 0]?.value)
  const call = dimensions.reduce((one, dimension, i) => dimension.with(one, chosen[i]), base)
  return {
    verdict,
    to,
    ports: [port.isNamed ? port.number : 'other'],
    protocol: port.protocol,
    calls: Object.fromEntries(calls),
    example: exampleOf(call),
    before: short(before.ask(call).authorization),
    after: short(after.ask(call).authorization),
  }
}

function exampleOf(call: Call): PolicyChange['example'] {
  const { source, sourceIp, method, path, host, fieldLines, claims, protocol } = call
  const who = { from: source?.principal ?? null, ip: sourceIp }
  if (protocol === 'tcp') return who
  const headers = Object.fromEntries(fieldLines)
  return { ...who, method, path, host, headers, ...(claims === undefined ? {} : { jwt: claims }) }
}

/** The shorter way to say which. */
function classesOf(side: readonly number[], all: Dimension['classes']): Classes {
  const others = all.flatMap(({ label }, i) => (side.includes(i) ? [] : [label]))
  const isPlain = others.every((label) => !label.startsWith('any'))
  return isPlain && others.length * 2 < side.length
    ? { but: others }
    : { of: side.map((one) => all[one]?.label ?? '') }
}

function short({ decision, policy, rule, because }: Authorization): PolicyChange['before'] {
  return { decision, policy, rule, because }
}

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
  readonly cells: readonly Cell[]
  readonly before: DestinationJudge
  readonly after: DestinationJudge
  readonly gaps: readonly string[]
}

/** One combination of classes whose fate changes. */
interface Cell {
  /** Of each dimension. */
  readonly classes: readonly number[]
  readonly verdict: PolicyChange['verdict']
  readonly call: Call
}

const MAX_CALLS = 200_000

/** Tries every combination of what policies tell apart at one port of a workload. */
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
  const cells: Cell[] = []
  let left = MAX_CALLS
  const visit = (call: Call, classes: readonly number[]): void => {
    const dimension = dimensions[classes.length]
    if (dimension === undefined) {
      if (left-- <= 0) return
      const verdict = verdictOf(before.decide(call), after.decide(call))
      if (verdict !== undefined) cells.push({ classes, verdict, call })
      return
    }
    for (const [i, one] of dimension.classes.entries()) {
      visit(dimension.with(call, one.value), [...classes, i])
    }
  }
  visit(baseCall(now, port), [])
  const cut = left < 0 ? [`port ${port.number}: more than ${MAX_CALLS} combinations`] : []
  return { to: now.name, port, dimensions, cells, before, after, gaps: [...gaps, ...cut] }
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

interface Box {
  /** Of each dimension the classes that are in it. */
  readonly sides: readonly (readonly number[])[]
  readonly cell: Cell
}

function changesAt(judged: JudgedPort): readonly PolicyChange[] {
  const byVerdict = Map.groupBy(judged.cells, ({ verdict }) => verdict)
  return [...byVerdict.values()].flatMap((cells) =>
    boxesOf(cells).map((box) => changeOf(judged, box)),
  )
}

/** Cells side by side become one: dimension by dimension, those that are alike in all others. */
export function boxesOf(cells: readonly Cell[]): readonly Box[] {
  let boxes: readonly Box[] = cells.map((cell) => ({
    sides: cell.classes.map((one) => [one]),
    cell,
  }))
  const count = cells[0]?.classes.length ?? 0
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

function changeOf(
  { to, port, dimensions, before, after }: JudgedPort,
  { sides, cell }: Box,
): PolicyChange {
  const calls = dimensions.flatMap(({ name, classes }, i) => {
    const side = sides[i] ?? []
    if (side.length === classes.length) return []
    return [[name, classesOf(side, classes)] as const]
  })
  const example = dimensions.flatMap(({ name, classes }, i) => {
    const value = classes[cell.classes[i] ?? 0]?.value
    return value === undefined ? [] : [[name, value] as const]
  })
  return {
    verdict: cell.verdict,
    to,
    ports: [port.isNamed ? port.number : 'other'],
    protocol: port.protocol,
    calls: Object.fromEntries(calls),
    example: Object.fromEntries(example),
    before: short(before.ask(cell.call).authorization),
    after: short(after.ask(cell.call).authorization),
  }
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

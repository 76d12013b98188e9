/**
 * Files and calls in, fates out, without sockets: the control plane's pure
 * snapshot and translation, then the data plane's decisions.
 *
 *     source's proxy: listener, route, cluster ──► destination's: mutual TLS, tokens, policies
 */

import { isIP } from 'node:net'
import {
  buildSnapshot,
  findService,
  type MeshSnapshot,
  type ProxyView,
  translate,
} from '@weft/control'
import type { ResourceSet } from '@weft/model'
import { DestinationJudge, judgeChain, strictest } from '../access/authorize-call.ts'
import type { Destination } from '../access/destination.ts'
import { type MeshView, meshView } from '../access/mesh-view.ts'
import { ANY_ADDRESS, type Call } from './call.ts'
import { findFilterChain, findListener } from './connection.ts'
import { decide } from './decide.ts'
import { perspectiveOf, type Scene } from './perspective.ts'
import type { Authorization, MutualTls, SimulationResult } from './result.ts'

export interface Simulator {
  /** @param from `namespace/workload`; absent: from outside. */
  answer(call: Call, from: string | undefined): SimulationResult
  /** At the workload that is called. @param to `namespace/workload`. */
  arrive(call: Call, to: string, from: string | undefined): SimulationResult
}

/** Answers calls against one state of the mesh; proxies with equal views share their resources. */
export function simulatorOf(scene: Scene): Simulator {
  const snapshot = buildSnapshot({ documents: scene.documents })
  const resourcesByView = new Map<string, ResourceSet>()
  let known: MeshView | undefined
  const view = () => {
    known ??= meshView(scene)
    return known
  }
  const judges = new Map<Destination, DestinationJudge>()
  const judgeOf = (destination: Destination) => {
    const judge = judges.get(destination) ?? new DestinationJudge(destination)
    judges.set(destination, judge)
    return judge
  }
  const callFrom = (call: Call, from: string | undefined): Call =>
    from === undefined || call.source?.principal !== undefined
      ? call
      : { ...call, source: { ...call.source, principal: view().principalOf(from) } }

  return {
    answer(call, from) {
      const perspective = perspectiveOf(scene, call, from)
      const resources = resourcesOf(snapshot, perspective.proxy, resourcesByView)
      const dialled = resolveAddress(snapshot, perspective.proxy, call)
      const port = perspective.proxy.portMap.get(call.port) ?? call.port
      const result = decide(resources, dialled.call, port)
      const facts = [perspective.because, ...dialled.because, ...result.because]
      const asked = callFrom(dialled.call, from)
      const gateway =
        perspective.proxy.role === 'gateway' || call.direction === 'inbound'
          ? judgeHere(resources, asked, port)
          : null
      if (gateway !== null && gateway.decision !== 'allow') {
        return told({ ...result, because: facts }, gateway, null)
      }
      const there = { ...asked, ...onward(result, asked, perspective, view) }
      const answers = behind(result, view()).map((one) => judgeOf(one).ask(there))
      const found = strictest(answers)
      return told(
        { ...result, because: facts },
        found?.authorization ?? gateway,
        found?.mtls ?? null,
      )
    },
    arrive(call, to, from) {
      const asked = callFrom(call, from)
      const answers = view()
        .destinations(to)
        .map((destination) => ({ destination, ...judgeOf(destination).ask(asked) }))
      const found = strictest(answers)
      if (found === undefined) throw new Error(`Cannot find workload ${to}`)
      const { destination } =
        answers.find(({ authorization }) => authorization.at === found.authorization.at) ??
        answers[0] ??
        {}
      if (destination === undefined) throw new Error(`Cannot find workload ${to}`)
      const { proxy, resources } = destination
      const listening = proxy.offers.find(({ port }) => port === found.port)?.listenPort
      const result = decide(resources, found.call, listening ?? found.port)
      const facts = [`the call arrives at ${destination.name}`, ...result.because]
      return told({ ...result, because: facts }, found.authorization, found.mtls)
    },
  }
}

/** What the guards of the first proxy say, e.g. of a gateway. */
function judgeHere(resources: ResourceSet, call: Call, port: number): Authorization | null {
  const listener = findListener(resources.listener.values(), call, port)
  const chain = listener === undefined ? undefined : findFilterChain(listener, call, port)
  if (chain === undefined) return null
  return judgeChain(chain, call, port)
}

/** The call as it leaves the first proxy. */
function onward(
  { rewritten }: SimulationResult,
  call: Call,
  { proxy }: { readonly proxy: ProxyView },
  view: () => MeshView,
): Partial<Call> {
  const headers = rewritten?.headers
  const own =
    proxy.role === 'gateway'
      ? { source: { principal: view().principalOf(`${proxy.namespace}/${proxy.workload}`) } }
      : {}
  return {
    ...own,
    ...(rewritten?.host === undefined ? {} : { host: rewritten.host }),
    ...(rewritten?.path === undefined ? {} : { path: rewritten.path }),
    ...(headers === undefined
      ? {}
      : { fieldLines: new Map(Object.entries(headers).map(([name, value]) => [name, [value]])) }),
    // The mesh's TLS is between the proxies, whatever the application spoke.
    written: { ...call.written, tls: call.written.tls && proxy.role !== 'gateway' },
  }
}

/** The workloads of a mesh that a cluster leads to. */
function behind({ cluster, error }: SimulationResult, mesh: MeshView): readonly Destination[] {
  const [direction, port, subset, host] = (cluster ?? '').split('|')
  if (error !== null || direction !== 'outbound' || host === undefined) return []
  const rule = mesh.documents.flatMap((one) =>
    one.type === 'DestinationRule' ? (one.spec.subsets ?? []) : [],
  )
  const labels = subset === '' ? {} : (rule.find(({ name }) => name === subset)?.labels ?? {})
  const all = mesh.behind(host, Number(port))
  const chosen = all.filter(({ proxy }) =>
    Object.entries(labels).every(([key, value]) => proxy.labels[key] === value),
  )
  return chosen.length === 0 ? all : chosen
}

function told(
  result: SimulationResult,
  authorization: Authorization | null,
  mtls: MutualTls | null,
): SimulationResult {
  const facts = [
    ...(mtls === null ? [] : [`mutual TLS: ${mtls.because}`]),
    ...(authorization === null ? [] : [renderAuthorization(authorization)]),
    ...(authorization?.notes ?? []),
  ]
  return { ...result, authorization, mtls, because: [...result.because, ...facts] }
}

function renderAuthorization({
  decision,
  policy,
  rule,
  because,
  kind,
  origin,
}: Authorization): string {
  const who = policy === null ? '' : ` by ${kind} ${policy}${rule === null ? '' : ` rule ${rule}`}`
  const verb = { allow: 'allowed', deny: 'denied', custom: 'undecided' }[decision]
  return `${verb}${who}: ${because}${origin === null ? '' : ` (${origin})`}`
}

function resourcesOf(
  snapshot: MeshSnapshot,
  proxy: ProxyView,
  known: Map<string, ResourceSet>,
): ResourceSet {
  const key = JSON.stringify({ ...proxy, portMap: [...proxy.portMap] })
  const before = known.get(key)
  if (before !== undefined) return before
  const resources = translate(snapshot, proxy)
  known.set(key, resources)
  return resources
}

/** What DNS would have told the client: the service's address, or some address nobody knows. */
function resolveAddress(
  snapshot: MeshSnapshot,
  proxy: ProxyView,
  call: Call,
): { readonly call: Call; readonly because: readonly string[] } {
  if (isIP(call.address) !== 0) return { call, because: [] }
  const { domain } = snapshot.mesh
  const name = call.address.replace(/\.$/, '').toLowerCase()
  const candidates = [
    name,
    `${name}.${proxy.namespace}.svc.${domain}`,
    `${name}.svc.${domain}`,
    `${name}.${domain}`,
  ]
  const service = candidates.map((host) => findService(snapshot.services, host)).find(Boolean)
  const instances = service === undefined ? [] : (snapshot.instances.get(service.host) ?? [])
  const addresses = [
    ...(service?.addresses ?? []),
    ...(service?.resolution === 'headless' ? instances.map(({ address }) => address) : []),
  ]
  const address = addresses.find((one) => isIP(one) !== 0) ?? ANY_ADDRESS
  const because = service === undefined || address === ANY_ADDRESS ? [] : [`${name} is ${address}`]
  return { call: { ...call, address }, because }
}

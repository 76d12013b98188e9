/**
 * Whose proxy answers a call: the sidecar of a workload, a gateway, or, for a
 * call that names neither, the gateway that listens on its port, else a plain
 * sidecar in namespace `default`.
 */
import { type Document, type DocumentOf, documentsOf } from '@weft/config'
import { DEFAULT_PROXY, type ProxyView } from '@weft/control'
import { type Call, hostOnly } from './call.ts'
import type { WorkloadTemplate } from './workload-templates.ts'

export interface Perspective {
  readonly proxy: ProxyView
  /** Why this one, for people. */
  readonly because: string
}

/** What is known of the mesh. */
export interface Scene {
  readonly documents: readonly Document[]
  /** Deployments and their like. */
  readonly templates?: readonly WorkloadTemplate[]
}

type Labels = Readonly<Record<string, string>>

/** One way into the mesh: a server of an Istio Gateway or a listener of a Gateway API one. */
interface Door {
  readonly gateway: string
  readonly namespace: string
  readonly port: number
  readonly hosts: readonly string[]
  /** What a gateway proxy's labels must have. */
  readonly selector: Labels
}

const GATEWAY_NAMESPACE = 'istio-system'
/** How Gateway API gateways label the proxies that serve them. */
const GATEWAY_NAME_LABEL = 'gateway.networking.k8s.io/gateway-name'

/** @param from `namespace/workload`, or a workload of namespace `default`; absent: from outside. */
export function perspectiveOf(
  { documents, templates = [] }: Scene,
  call: Call,
  from: string | undefined,
): Perspective {
  return from === undefined ? outside(documents, call) : inside(documents, templates, from)
}

function inside(
  documents: readonly Document[],
  templates: readonly WorkloadTemplate[],
  from: string,
): Perspective {
  const slash = from.indexOf('/')
  const namespace = slash < 0 ? 'default' : from.slice(0, slash)
  const workload = slash < 0 ? from : from.slice(slash + 1)
  const known =
    findWorkload(documents, namespace, workload) ??
    findTemplate(templates, namespace, workload) ??
    guessWorkload(documents, namespace, workload)
  const labels = known?.labels ?? { app: workload }
  const door = doorsOf(documents).find((one) => isServedBy(one, labels, namespace, workload))
  if (door !== undefined) {
    return {
      proxy: gatewayView(documents, labels, namespace, workload, known?.addresses ?? []),
      because: `${namespace}/${workload} is a gateway: its labels match Gateway ${door.namespace}/${door.gateway}`,
    }
  }
  return {
    proxy: { ...DEFAULT_PROXY, namespace, workload, labels, addresses: known?.addresses ?? [] },
    because:
      known === undefined
        ? `the call leaves ${namespace}/${workload}, of which no object says more: its label is taken to be app=${workload}`
        : `the call leaves ${namespace}/${workload} (${known.found})`,
  }
}

function outside(documents: readonly Document[], call: Call): Perspective {
  const doors = doorsOf(documents)
  const asWritten = doors.filter((door) => door.port === call.port)
  // A caller may name the port that the gateway binds in place of the written one.
  const asBound = doors.filter(
    (door) => portMapOf(documents, door.selector).get(door.port) === call.port,
  )
  const onPort = asWritten.length > 0 ? asWritten : asBound
  const host = hostOnly(call.host === '' ? call.sni : call.host)
  const door = onPort.find((one) => one.hosts.some((name) => fitsHost(name, host))) ?? onPort[0]
  if (door === undefined) {
    return {
      proxy: DEFAULT_PROXY,
      because: `no gateway listens on port ${call.port}: the call leaves a sidecar in namespace default`,
    }
  }
  const pod = documentsOf(documents, 'Pod').find(({ metadata }) =>
    isSubset(door.selector, metadata.labels),
  )
  const namespace = pod?.metadata.namespace ?? namespaceFor(documents, door)
  return {
    proxy: gatewayView(
      documents,
      pod?.metadata.labels ?? door.selector,
      namespace,
      pod?.metadata.name ?? door.gateway,
      pod === undefined ? [] : addressesOf(pod),
    ),
    because: `the call comes from outside to a gateway: Gateway ${door.namespace}/${door.gateway} listens on port ${call.port}`,
  }
}

/** Nobody wrote down the proxy: it runs beside its Service, else where Istio installs it. */
function namespaceFor(documents: readonly Document[], door: Door): string {
  if (GATEWAY_NAME_LABEL in door.selector) return door.namespace
  const service = serviceOf(documents, door.selector)
  if (service !== undefined) return service.metadata.namespace
  return (door.selector.istio ?? '').endsWith('gateway') ? GATEWAY_NAMESPACE : door.namespace
}

function gatewayView(
  documents: readonly Document[],
  labels: Labels,
  namespace: string,
  workload: string,
  addresses: readonly string[],
): ProxyView {
  return {
    ...DEFAULT_PROXY,
    role: 'gateway',
    namespace,
    workload,
    labels,
    addresses,
    portMap: portMapOf(documents, labels),
  }
}

/** A Service in front of the gateway may turn port 80 into another one of its pods. */
function portMapOf(documents: readonly Document[], labels: Labels): ReadonlyMap<number, number> {
  const map = new Map<number, number>()
  for (const { port, targetPort } of serviceOf(documents, labels)?.spec.ports ?? []) {
    if (typeof targetPort === 'number' && targetPort !== port) map.set(port, targetPort)
  }
  return map
}

function serviceOf(documents: readonly Document[], labels: Labels) {
  return documentsOf(documents, 'Service').find(({ spec }) => {
    const selector = spec.selector ?? {}
    return Object.keys(selector).length > 0 && isSubset(selector, labels)
  })
}

function doorsOf(documents: readonly Document[]): readonly Door[] {
  const istio = documentsOf(documents, 'IstioGateway').flatMap(({ metadata, spec }) =>
    (spec.servers ?? []).map((server) => ({
      gateway: metadata.name,
      namespace: metadata.namespace,
      port: server.port.number,
      hosts: server.hosts.map((host) => host.slice(host.indexOf('/') + 1)),
      selector: spec.selector ?? {},
    })),
  )
  const kubernetes = documentsOf(documents, 'KubernetesGateway').flatMap(({ metadata, spec }) =>
    spec.listeners.map((listener) => ({
      gateway: metadata.name,
      namespace: metadata.namespace,
      port: listener.port,
      hosts: [listener.hostname ?? '*'],
      selector: { [GATEWAY_NAME_LABEL]: metadata.name },
    })),
  )
  return [...istio, ...kubernetes]
}

function isServedBy(door: Door, labels: Labels, namespace: string, workload: string): boolean {
  if (GATEWAY_NAME_LABEL in door.selector) {
    const isNamed = workload === door.gateway || workload.startsWith(`${door.gateway}-`)
    return door.namespace === namespace && (isNamed || isSubset(door.selector, labels))
  }
  return Object.keys(door.selector).length > 0 && isSubset(door.selector, labels)
}

interface KnownWorkload {
  readonly labels: Labels
  readonly addresses: readonly string[]
  readonly found: string
}

/** A pod or WorkloadEntry of that name, else a pod of a deployment of that name, else one of that app. */
function findWorkload(
  documents: readonly Document[],
  namespace: string,
  workload: string,
): KnownWorkload | undefined {
  const pods = documentsOf(documents, 'Pod').filter(
    ({ metadata }) => metadata.namespace === namespace,
  )
  const pod =
    pods.find(({ metadata }) => metadata.name === workload) ??
    pods.find(({ metadata }) => metadata.name.startsWith(`${workload}-`)) ??
    pods.find(({ metadata }) => metadata.labels.app === workload)
  if (pod !== undefined) {
    return {
      labels: pod.metadata.labels,
      addresses: addressesOf(pod),
      found: `Pod ${namespace}/${pod.metadata.name}`,
    }
  }
  const entry = documentsOf(documents, 'WorkloadEntry').find(
    ({ metadata }) => metadata.namespace === namespace && metadata.name === workload,
  )
  if (entry === undefined) return undefined
  return {
    labels: { ...entry.metadata.labels, ...entry.spec.labels },
    addresses: entry.spec.address === undefined ? [] : [entry.spec.address],
    found: `WorkloadEntry ${namespace}/${workload}`,
  }
}

function addressesOf({ status }: DocumentOf<'Pod'>): readonly string[] {
  const all = [status?.podIP, ...(status?.podIPs ?? []).map(({ ip }) => ip)]
  return [...new Set(all.filter((ip): ip is string => ip !== undefined))]
}

function findTemplate(
  templates: readonly WorkloadTemplate[],
  namespace: string,
  workload: string,
): KnownWorkload | undefined {
  const local = templates.filter((template) => template.namespace === namespace)
  const template =
    local.find(({ name }) => name === workload) ??
    local.find(({ name }) => workload.startsWith(`${name}-`)) ??
    local.find(({ labels }) => labels.app === workload)
  if (template === undefined) return undefined
  const { kind, name, labels } = template
  return { labels, addresses: [], found: `${kind} ${namespace}/${name}` }
}

/** `reviews-v2` where a Service `reviews` is: its selector, and the version that the name says. */
function guessWorkload(
  documents: readonly Document[],
  namespace: string,
  workload: string,
): KnownWorkload | undefined {
  const service = documentsOf(documents, 'Service').find(
    ({ metadata }) =>
      metadata.namespace === namespace &&
      (workload === metadata.name || workload.startsWith(`${metadata.name}-`)),
  )
  if (service === undefined) return undefined
  const { name } = service.metadata
  const version = /^-(v\d[\w.]*)/.exec(workload.slice(name.length))?.[1]
  return {
    labels: {
      app: name,
      ...service.spec.selector,
      ...(version === undefined ? {} : { version }),
    },
    addresses: [],
    found: `selected by Service ${namespace}/${name}`,
  }
}

function isSubset(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value)
}

function fitsHost(name: string, host: string): boolean {
  if (name === '*' || name === host) return true
  return name.startsWith('*.') && host.endsWith(name.slice(1))
}

/** Who is called in a mesh, and what his proxy was told: from files, as a control plane would. */
import { type Document, documentsOf } from '@weft/config'
import {
  buildSnapshot,
  DEFAULT_PROXY,
  findService,
  type MeshSnapshot,
  mutualTlsDecision,
  type ProxyView,
  type ServiceInstance,
  translate,
} from '@weft/control'
import { type OfferedPort, renderSpiffeId, serviceAccountId } from '@weft/model'
import { parseCalls } from '../simulate/call.ts'
import { perspectiveOf, type Scene } from '../simulate/perspective.ts'
import { type Destination, type ModeAt, whereOf } from './destination.ts'
import { populated } from './populated.ts'

export interface MeshView {
  readonly documents: readonly Document[]
  readonly snapshot: MeshSnapshot
  /** By `namespace/workload`, or a service: all that differ in what their proxies are told. */
  destinations(name: string): readonly Destination[]
  /** Who answers at these addresses of a service. */
  behind(host: string, servicePort: number, addresses?: ReadonlySet<string>): readonly Destination[]
  /** Everybody who is called, once each. */
  everybody(): readonly Destination[]
  /** SPIFFE ID of a workload. */
  principalOf(workload: string): string
}

export function meshView(scene: Scene): MeshView {
  const documents = populated(scene)
  const snapshot = buildSnapshot({ documents })
  const { mesh } = snapshot
  const known = new Map<string, Destination>()
  const all = [...snapshot.instances.values()].flat()

  const destinationOf = (proxy: ProxyView, serviceAccount: string | undefined): Destination => {
    const key = JSON.stringify({ ...proxy, portMap: [...proxy.portMap] })
    const before = known.get(key)
    if (before !== undefined) return before
    const ports = all
      .filter(({ address }) => proxy.addresses.includes(address))
      .map(({ servicePort, port }) => ({ servicePort, port }))
    const id = serviceAccountId(mesh.trustDomain, proxy.namespace, serviceAccount ?? '')
    const destination: Destination = {
      name: `${proxy.namespace}/${proxy.workload}`,
      proxy,
      ...(serviceAccount === undefined ? {} : { principal: renderSpiffeId(id) }),
      resources: translate(snapshot, proxy),
      modeAt: (port) => modeAt(snapshot, proxy, port),
      trustDomain: mesh.trustDomain,
      ports: [...ports, ...proxy.offers.map(({ port }) => ({ servicePort: port, port }))],
    }
    known.set(key, destination)
    return destination
  }
  const ofInstance = (instance: ServiceInstance, namespace: string): Destination =>
    destinationOf(
      {
        ...DEFAULT_PROXY,
        hasIdentity: true,
        namespace: instance.workload?.namespace ?? namespace,
        workload: instance.workload?.name ?? instance.address,
        labels: instance.labels,
        addresses: [instance.address],
      },
      instance.serviceAccount,
    )
  const behind: MeshView['behind'] = (host, servicePort, addresses) => {
    const service = findService(snapshot.services, host)
    if (service === undefined || service.external) return []
    const instances = (snapshot.instances.get(service.host) ?? []).filter(
      (one) =>
        (servicePort === 0 || one.servicePort === servicePort) &&
        (addresses === undefined || addresses.has(one.address)),
    )
    if (instances.length === 0) return offered(service.name, service.namespace)
    const distinct = new Map(
      instances.map((one) => [JSON.stringify([one.labels, one.workload, one.serviceAccount]), one]),
    )
    return [...distinct.values()].map((one) => ofInstance(one, service.namespace))
  }
  /** A service whose workloads join by themselves (`weft run --service`). */
  const offered = (name: string, namespace: string): readonly Destination[] => {
    const document = documentsOf(documents, 'Service').find(
      ({ metadata }) => metadata.name === name && metadata.namespace === namespace,
    )
    if (document === undefined || Object.keys(document.spec.selector ?? {}).length > 0) return []
    const service = findService(snapshot.services, `${name}.${namespace}.svc.cluster.local`)
    const offers = (service?.ports ?? []).map((port): OfferedPort => {
      const address = '240.0.0.0'
      const own = { service: name, port: port.port, protocol: port.protocol, address }
      return { ...own, listenPort: port.port, appAddress: '127.0.0.1', appPort: port.port }
    })
    const proxy: ProxyView = {
      ...DEFAULT_PROXY,
      hasIdentity: true,
      namespace,
      workload: name,
      labels: { app: name },
      capture: { kind: 'explicit' },
      offers,
    }
    return [destinationOf(proxy, 'default')]
  }
  const fromPerspective = (name: string): Destination => {
    const [call] = parseCalls('{}').calls
    if (call === undefined) throw new Error('Cannot build a call: an empty one must parse')
    const { proxy } = perspectiveOf({ documents }, call, name)
    return destinationOf({ ...proxy, hasIdentity: true }, accountOf(documents, proxy))
  }
  return {
    documents,
    snapshot,
    behind,
    destinations(name) {
      const full = name.includes('/') ? name : `default/${name}`
      const [namespace = '', workload = ''] = full.split('/')
      const host = `${workload}.${namespace}.svc.cluster.local`
      const service = behind(host, 0)
      return service.length > 0 ? service : [fromPerspective(full)]
    },
    everybody() {
      const served = [...snapshot.services.values()].flatMap(({ host }) => behind(host, 0))
      const names = new Set(served.map((one) => one.name))
      const others = documentsOf(documents, 'Pod')
        .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
        .map((name) => fromPerspective(name))
        .filter(({ proxy, name }) => proxy.role === 'sidecar' && !names.has(name))
      return [...new Map([...served, ...others].map((one) => [one.name, one])).values()]
    },
    principalOf(workload) {
      const { principal, proxy } = fromPerspective(workload)
      const id = serviceAccountId(mesh.trustDomain, proxy.namespace, 'default')
      return principal ?? renderSpiffeId(id)
    },
  }
}

function accountOf(documents: readonly Document[], { addresses, namespace }: ProxyView) {
  for (const { spec, status, metadata } of documentsOf(documents, 'Pod')) {
    if (metadata.namespace !== namespace || !addresses.includes(status?.podIP ?? '')) continue
    return spec.serviceAccountName ?? spec.serviceAccount ?? 'default'
  }
  for (const { spec, metadata } of documentsOf(documents, 'WorkloadEntry')) {
    if (metadata.namespace !== namespace || !addresses.includes(spec.address ?? '')) continue
    return spec.serviceAccount ?? 'default'
  }
  return undefined
}

function modeAt(
  { peerAuthentications, mesh }: MeshSnapshot,
  proxy: ProxyView,
  port: number,
): ReturnType<ModeAt> {
  const offer = proxy.offers.find((one) => one.port === port)
  const ports = offer === undefined ? [port] : [offer.appPort, offer.port]
  const found = mutualTlsDecision(peerAuthentications, proxy, ports, mesh.rootNamespace)
  const { mode, policy, path } = found
  if (policy === undefined || path === undefined) return { mode }
  const { namespace, name } = policy.metadata
  const origin = whereOf({ ...policy.origin, line: policy.lineOf(path) })
  return { mode, policy: `${namespace}/${name}`, ...(origin === undefined ? {} : { origin }) }
}

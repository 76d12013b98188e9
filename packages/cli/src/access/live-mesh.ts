/** Who is called in a running mesh: what the control plane told the proxies that are connected. */
import { DEFAULT_PROXY } from '@weft/control'
import type { FilterChain, Listener, OfferedPort, Origin, ResourceSet } from '@weft/model'
import { CommandError } from '../command.ts'
import type { MeshApi } from '../mesh-api.ts'
import { type Destination, type ModeAt, whereOf } from './destination.ts'

const INBOUND = 'weft:inbound|'
/** Until somebody says otherwise (Istio's). */
const TRUST_DOMAIN = 'cluster.local'

/** @param name `namespace/workload`, or a service. @throws {CommandError} When nobody has it. */
export async function liveDestinations(
  api: MeshApi,
  name: string,
): Promise<readonly Destination[]> {
  const full = name.includes('/') ? name : `default/${name}`
  const { proxies } = await api.status()
  const names = [...new Set(proxies.map((one) => one.name))]
  const own = names.find((one) => one === full)
  if (own !== undefined) return [destinationOf(own, await resourceSet(api, own))]
  const [namespace = '', service = ''] = full.split('/')
  const found: Destination[] = []
  for (const one of names) {
    const set = await resourceSet(api, one)
    const isServed = [...set.cluster.values()].some(
      ({ name: cluster, service: served }) =>
        cluster.startsWith('inbound|') &&
        served?.name === service &&
        served.namespace === namespace,
    )
    if (isServed) found.push(destinationOf(one, set))
  }
  if (found.length > 0) return found
  throw new CommandError(`No proxy of ${full} is connected`, 1, {
    hint: `Connected are ${names.length === 0 ? 'none' : names.join(', ')}`,
  })
}

async function resourceSet(api: MeshApi, proxy: string): Promise<ResourceSet> {
  const [listener, route, cluster, endpoints] = await Promise.all([
    api.resources('listener', proxy),
    api.resources('route', proxy),
    api.resources('cluster', proxy),
    api.resources('endpoints', proxy),
  ])
  return {
    listener: byName(listener),
    route: byName(route),
    cluster: byName(cluster),
    endpoints: byName(endpoints),
    secret: new Map(),
  }
}

function byName<T extends { readonly name: string }>(list: readonly T[]): ReadonlyMap<string, T> {
  return new Map(list.map((one) => [one.name, one]))
}

function destinationOf(name: string, resources: ResourceSet): Destination {
  const [namespace = '', workload = ''] = name.split('/')
  const listeners = [...resources.listener.values()].filter(
    ({ direction }) => direction === 'inbound',
  )
  const offers = listeners.flatMap((listener): OfferedPort[] => {
    if (!listener.name.startsWith(INBOUND)) return []
    const port = Number(listener.name.slice(INBOUND.length))
    const { host: address, port: listenPort } = listener.address
    const app = { appAddress: '127.0.0.1', appPort: port }
    return [{ service: workload, port, protocol: 'http', address, listenPort, ...app }]
  })
  const captured = listeners.flatMap(({ filterChains }) =>
    filterChains.flatMap(({ match }) => match.destinationPort ?? []),
  )
  const ports = [...new Set([...offers.map(({ port }) => port), ...captured])]
  return {
    name,
    proxy: { ...DEFAULT_PROXY, namespace, workload, hasIdentity: true, offers },
    resources,
    trustDomain: trustDomainOf(listeners),
    ports: ports.map((port) => ({ servicePort: port, port })),
    modeAt: modeOf(listeners),
  }
}

function trustDomainOf(listeners: readonly Listener[]): string {
  const names = listeners.flatMap(({ filterChains }) =>
    filterChains.flatMap(({ tls }) => tls?.subjectAltNames ?? []),
  )
  const domain = /^spiffe:\/\/([^/]+)\//.exec(names[0]?.value.value ?? '')?.[1]
  return domain ?? TRUST_DOMAIN
}

/** As the chains of the port say, by the word of what the listener came from. */
function modeOf(listeners: readonly Listener[]): ModeAt {
  return (port) => {
    const places = listeners.flatMap((listener) => {
      const { name, filterChains, origins } = listener
      const isOwn = name === `${INBOUND}${port}`
      const chains = isOwn
        ? filterChains
        : filterChains.filter(({ match }) => match.destinationPort === port)
      return chains.length === 0 ? [] : [{ chains, origin: originFor(port, isOwn, origins) }]
    })
    const chains = places.flatMap((place) => place.chains)
    const said = saidBy(places.find(({ origin }) => origin !== undefined)?.origin)
    const isMutual = ({ tls }: FilterChain) => tls?.requireClientCertificate === true
    if (!chains.some(isMutual)) return { mode: 'DISABLE', ...said }
    return { mode: chains.every(isMutual) ? 'STRICT' : 'PERMISSIVE', ...said }
  }
}

/** A listener of many ports has an origin for each port with a word of its own, and one for the rest. */
function originFor(port: number, isOwn: boolean, origins: readonly Origin[]): Origin | undefined {
  const all = origins.filter(({ kind }) => kind === 'PeerAuthentication')
  if (isOwn) return all[0]
  const ofPort = all.find(({ path }) => path === `spec.portLevelMtls[${port}]`)
  return ofPort ?? all.find(({ path }) => path === 'spec.mtls')
}

function saidBy(origin: Origin | undefined): { policy?: string; origin?: string } {
  if (origin === undefined) return {}
  const where = whereOf(origin)
  const policy = `${origin.namespace}/${origin.name}`
  return { policy, ...(where === undefined ? {} : { origin: where }) }
}

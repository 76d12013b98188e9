/**
 * Files and calls in, fates out, without sockets: the control plane's pure
 * snapshot and translation, then the data plane's decisions.
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
import { ANY_ADDRESS, type Call } from './call.ts'
import { decide } from './decide.ts'
import { perspectiveOf, type Scene } from './perspective.ts'
import type { SimulationResult } from './result.ts'

/** Answers calls against one state of the mesh; proxies with equal views share their resources. */
export function simulatorOf(
  scene: Scene,
): (call: Call, from: string | undefined) => SimulationResult {
  const snapshot = buildSnapshot({ documents: scene.documents })
  const resourcesByView = new Map<string, ResourceSet>()

  return (call, from) => {
    const perspective = perspectiveOf(scene, call, from)
    const resources = resourcesOf(snapshot, perspective.proxy, resourcesByView)
    const dialled = resolveAddress(snapshot, perspective.proxy, call)
    const port = perspective.proxy.portMap.get(call.port) ?? call.port
    const result = decide(resources, dialled.call, port)
    return { ...result, because: [perspective.because, ...dialled.because, ...result.because] }
  }
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

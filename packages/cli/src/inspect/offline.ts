/** The answer of `weft get` from files alone: what a control plane would send. */
import type { Document } from '@weft/config'
import { buildSnapshot, translate } from '@weft/control'
import type { ResourceSet } from '@weft/model'
import { parseCalls } from '../simulate/call.ts'
import { perspectiveOf, type Scene } from '../simulate/perspective.ts'
import type { ServiceRow } from './tables.ts'

export function resourcesOffline(scene: Scene, from: string): ResourceSet {
  const [call] = parseCalls('{}').calls
  if (call === undefined) throw new Error('Cannot build a call: an empty one must parse')
  const { proxy } = perspectiveOf(scene, call, from)
  return translate(buildSnapshot({ documents: scene.documents }), proxy)
}

export function servicesOffline(documents: readonly Document[]): readonly ServiceRow[] {
  const { services, instances } = buildSnapshot({ documents })
  return [...services.values()].map(({ host, ports, addresses, source }) => ({
    host,
    ports,
    addresses,
    source,
    endpoints: new Set((instances.get(host) ?? []).map(({ address }) => address)).size,
  }))
}

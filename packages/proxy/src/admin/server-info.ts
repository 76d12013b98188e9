/** What runs here, since when and how: Envoy's `ServerInfo`. */
import { type AdminEndpoint, jsonAnswer, type WorkerRow } from './endpoint.ts'

export const serverInfo: AdminEndpoint = {
  path: '/server_info',
  method: 'GET',
  summary: 'print server version/status information',
  parameters: {},
  answer(_request, proxy) {
    const uptime = `${Math.floor((proxy.clock.monotonicMs() - proxy.startedAtMs) / 1_000)}s`
    const { node, options, transport } = proxy
    return jsonAnswer({
      version: `weft/${options.version}/node-${process.versions.node}`,
      state: proxy.state(),
      uptime_current_epoch: uptime,
      uptime_all_epochs: uptime,
      hot_restart_version: 'disabled',
      command_line_options: {
        concurrency: proxy.workers?.concurrency ?? 1,
        service_cluster: node.cluster,
        service_node: node.id,
        service_zone: node.locality.zone,
        mode: 'Serve',
      },
      node: {
        id: node.id,
        cluster: node.cluster,
        metadata: node.metadata,
        locality: {
          region: node.locality.region,
          zone: node.locality.zone,
          sub_zone: node.locality.subZone,
        },
        user_agent_name: node.userAgentName,
      },
      // Not Envoy's: which of our transports carries the traffic, and what the control plane says.
      weft: {
        role: options.role,
        pid: process.pid,
        ...(proxy.workers === undefined ? {} : { workers: proxy.workers.list().map(workerJson) }),
        upgrade_failure: proxy.upgradeFailure?.() ?? null,
        transport: transport.name,
        transport_fallback_reason: transport.fallbackReason,
        control_plane: proxy.control() ?? null,
        configuration: proxy.configuration()?.update.source ?? null,
        rejected_resources: proxy.rejections().map((rejection) => ({
          type: rejection.type,
          name: rejection.name,
          problem: rejection.problem,
        })),
      },
    })
  },
}

function workerJson({ pid, state, restarts, memoryBytes, connections }: WorkerRow) {
  return { pid, state, restarts, memory_bytes: memoryBytes, connections }
}

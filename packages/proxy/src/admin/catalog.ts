/** Every admin endpoint, by its path. Adding one is adding a line. */
import { clusters } from './clusters.ts'
import { configDump } from './config-dump.ts'
import { drainListeners } from './drain-listeners.ts'
import type { AdminEndpoint } from './endpoint.ts'
import { createHelp } from './help.ts'
import { listeners } from './listeners.ts'
import { logging } from './logging.ts'
import { quitquitquit } from './quitquitquit.ts'
import { ready } from './ready.ts'
import { serverInfo } from './server-info.ts'
import { stats } from './stats.ts'
import { prometheusStats } from './stats-prometheus.ts'
import { upgrade } from './upgrade.ts'

// not a member: access.ts
// not a member: admin-server.ts
// not a member: endpoint.ts
// not a member: name-filter.ts
// not a member: stat-names.ts
const members = {
  '/clusters': clusters,
  '/config_dump': configDump,
  '/drain_listeners': drainListeners,
  '/listeners': listeners,
  '/logging': logging,
  '/quitquitquit': quitquitquit,
  '/ready': ready,
  '/server_info': serverInfo,
  '/stats': stats,
  '/stats/prometheus': prometheusStats,
  '/upgrade': upgrade,
} as const satisfies Record<string, AdminEndpoint>

export const adminEndpoints: Readonly<Record<string, AdminEndpoint>> = {
  ...members,
  '/help': createHelp(() => Object.values(adminEndpoints)),
}

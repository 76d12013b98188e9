/** Weft's sidecar for the plan: `weft proxy` with the same Envoy resources, as xDS files. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { clusters, listener } from './envoy-resources.ts'
import type { Plan } from './plan.ts'

const BIN = fileURLToPath(new URL('../../packages/cli/bin/weft.js', import.meta.url))
const CONFIG = 'type.googleapis.com/envoy.config'

/** @param transport `handle` is what the self-test picks; `net` is the public fallback. */
export function weft(
  plan: Plan,
  transport: 'handle' | 'net',
): { readonly args: readonly string[] } {
  const resources = `${plan.dir}/xds`
  mkdirSync(resources)
  write(`${resources}/listeners.json`, `${CONFIG}.listener.v3.Listener`, [listener(plan)])
  write(`${resources}/clusters.json`, `${CONFIG}.cluster.v3.Cluster`, clusters(plan))
  return {
    args: [
      '--conditions=source',
      '--disable-warning=ExperimentalWarning',
      BIN,
      'proxy',
      ...['--role', 'sidecar', '--name', 'bench', '--resources', resources],
      ...['--outbound', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--transport', transport],
    ],
  }
}

function write(path: string, type: string, resources: readonly object[]): void {
  const typed = resources.map((resource) => ({ '@type': type, ...resource }))
  writeFileSync(path, JSON.stringify({ version_info: '1', type_url: type, resources: typed }))
}

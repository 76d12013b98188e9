/**
 * Starts a sidecar once, so that the first real one finds its code compiled:
 *
 *     weft proxy, a listener and a cluster -> "ready" -> one request -> SIGTERM -> it writes
 *     what it compiled beside the bundle
 *
 * Node writes that once and then keeps it, so what runs here is what later starts need not
 * compile. Part of `prepare`. It is worth having and never worth failing for: it is bounded
 * in time and always exits 0.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const DEADLINE_MS = 20_000
const BIN = fileURLToPath(new URL('../bin/weft.js', import.meta.url))
const TYPES = 'type.googleapis.com/envoy'
const FILTERS = `${TYPES}.extensions.filters`

const loopback = (port) => ({ socket_address: { address: '127.0.0.1', port_value: port } })
const listenerAt = (port) => ({
  '@type': `${TYPES}.config.listener.v3.Listener`,
  name: 'warm',
  address: loopback(port),
  traffic_direction: 'OUTBOUND',
  filter_chains: [
    {
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type': `${FILTERS}.network.http_connection_manager.v3.HttpConnectionManager`,
            stat_prefix: 'warm',
            route_config: {
              name: 'warm',
              virtual_hosts: [
                {
                  name: 'warm',
                  domains: ['*'],
                  routes: [{ match: { prefix: '/' }, route: { cluster: 'warm' } }],
                },
              ],
            },
            http_filters: [
              {
                name: 'envoy.filters.http.router',
                typed_config: { '@type': `${FILTERS}.http.router.v3.Router` },
              },
            ],
          },
        },
      ],
    },
  ],
})
const CLUSTER = {
  '@type': `${TYPES}.config.cluster.v3.Cluster`,
  name: 'warm',
  type: 'STATIC',
  connect_timeout: '1s',
  load_assignment: {
    cluster_name: 'warm',
    endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(1) } }] }],
  },
}

try {
  const dir = mkdtempSync(join(tmpdir(), 'weft-warm-'))
  try {
    const port = await freePort()
    const resources = { listener: listenerAt(port), cluster: CLUSTER }
    for (const [name, resource] of Object.entries(resources)) {
      const response = { version_info: '1', resources: [resource] }
      writeFileSync(join(dir, `${name}.json`), JSON.stringify(response))
    }
    await warm(dir, port)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
} catch {
  // The first start is a slow one then.
}

async function warm(resources, port) {
  const words = ['--name', 'warm', '--resources', resources, '--json']
  const ports = ['--outbound', '127.0.0.1:0', '--admin', '127.0.0.1:0']
  const child = spawn(process.execPath, [BIN, 'proxy', ...words, ...ports], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const gone = new Promise((resolve) => {
    child.once('error', resolve)
    child.once('exit', resolve)
  })
  const giveUp = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS)
  try {
    await Promise.race([readyOf(child).then(() => ask(port)), gone])
    child.kill('SIGTERM')
    await gone
  } finally {
    clearTimeout(giveUp)
  }
}

function freePort() {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

function readyOf(child) {
  let output = ''
  return new Promise((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text) => {
      output += text
      if (output.includes('"ready":true')) resolve()
    })
  })
}

/** Whatever the answer: nobody listens behind the cluster. */
function ask(port) {
  return new Promise((resolve) => {
    request({ host: '127.0.0.1', port, path: '/', agent: false }, (response) => {
      response.resume().on('close', resolve)
    })
      .on('error', resolve)
      .end()
  })
}

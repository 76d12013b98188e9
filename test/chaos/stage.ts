/** Applications and a proxy between them and the client, as processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort, proxyToken, type Running, startWeft, temporaryFolder } from '../e2e/weft.ts'
import type { MemoryGroup } from './memory-group.ts'

const APP = fileURLToPath(new URL('app.ts', import.meta.url))
const TYPE = 'type.googleapis.com/envoy'

interface App {
  readonly port: number
  readonly process: ChildProcess
}

export interface Stage extends AsyncDisposable {
  readonly proxy: Running
  /** Where the client goes. */
  readonly port: number
  readonly admin: number
  readonly apps: App[]
  /** Ids of the POSTs that the applications took, in order. */
  posts(): string[]
  startApp(port?: number): Promise<App>
  writeResources(file: string, type: string, resources: readonly object[]): void
}

export interface StageOptions {
  /** Descriptors that the proxy may hold. */
  readonly maxFiles?: number
  /** Its memory is limited; without the group by the proxy's own setting. */
  readonly memory?: { readonly bytes: number; readonly group: MemoryGroup | undefined }
  /** Lines of a shell that run before the proxy, as the process that it becomes. */
  readonly before?: readonly string[]
  /** More of the proxy's command line. */
  readonly args?: readonly string[]
  /** Worker processes; 1: the proxy is one process. */
  readonly concurrency?: number
  /** The application's program; started as `node PROGRAM PORT JOURNAL`. */
  readonly app?: string
  /** Of the HTTP connection manager, in place of what it has here. */
  readonly manager?: object
  /** How long an application may take for an answer. */
  readonly perTryTimeout?: string
}

export async function openStage(options: StageOptions = {}): Promise<Stage> {
  const { concurrency = 1, app: program = APP, manager, perTryTimeout } = options
  const folder = await temporaryFolder()
  const resources = join(folder.path, 'xds')
  await mkdir(resources)
  const journal = join(folder.path, 'posts')
  writeFileSync(journal, '')
  const apps: App[] = []
  const startApp = async (wanted?: number): Promise<App> => {
    const port = wanted ?? (await freePort())
    const child = spawn(process.execPath, [program, String(port), journal], { stdio: 'inherit' })
    await untilAccepts(port)
    const app = { port, process: child }
    apps.push(app)
    return app
  }
  const first = await startApp()
  const second = await startApp()
  const [port, admin] = [await freePort(), await freePort()]
  const writeResources = (file: string, type: string, list: readonly object[]) => {
    const typed = list.map((each) => ({ '@type': type, ...each }))
    // Renamed into place: nobody reads half a file.
    const path = join(resources, file)
    writeFileSync(
      `${path}.new`,
      JSON.stringify({ version_info: '1', type_url: type, resources: typed }),
    )
    renameSync(`${path}.new`, path)
  }
  writeResources('listeners.json', LISTENER, [
    listener('stage', port, { ...manager }, perTryTimeout),
  ])
  writeResources('clusters.json', CLUSTER, [cluster([first.port, second.port])])
  const node = limitedNode(folder.path, options)
  const args = [
    ...['proxy', '--role', 'gateway', '--name', 'stage', '--resources', resources],
    ...['--admin', `127.0.0.1:${admin}`, '--concurrency', String(concurrency)],
    ...(options.args ?? []),
    ...memoryArgs(options),
  ]
  // In a source tree it may start the bundler, which needs more memory than the limit.
  const env = options.memory === undefined ? {} : { WEFT_BUNDLE: 'off' }
  const proxy = startWeft(args, node === undefined ? { env } : { env, node })
  const close = async () => {
    await proxy[Symbol.asyncDispose]()
    for (const app of apps) {
      if (app.process.exitCode === null && app.process.signalCode === null) {
        app.process.kill('SIGKILL')
        await once(app.process, 'exit')
      }
    }
    await folder[Symbol.asyncDispose]()
  }
  await proxy.saw('It has its configuration').catch(async (error: unknown) => {
    // Applications that go on would keep the test's process, too.
    await close()
    throw error
  })
  return {
    proxy,
    port,
    admin,
    apps,
    posts: () => readFileSync(journal, 'utf8').split('\n').filter(Boolean),
    startApp,
    writeResources,
    [Symbol.asyncDispose]: close,
  }
}

/** A program that starts Node within the limits; `undefined`: Node itself. */
function limitedNode(
  folder: string,
  { maxFiles, memory, before = [] }: StageOptions,
): string | undefined {
  const files = maxFiles === undefined ? [] : [`ulimit -n ${maxFiles}`]
  const group = memory?.group === undefined ? [] : [memory.group.joinCommand]
  if (files.length + group.length + before.length === 0) return undefined
  const path = join(folder, 'limited-node')
  const script = ['#!/bin/sh', ...before, ...files, ...group, `exec '${process.execPath}' "$@"`, '']
  writeFileSync(path, script.join('\n'), { mode: 0o755 })
  return path
}

function memoryArgs({ memory }: StageOptions): readonly string[] {
  if (memory === undefined || memory.group !== undefined) return []
  return ['--memory-limit', String(memory.bytes)]
}

export const LISTENER = `${TYPE}.config.listener.v3.Listener`
export const CLUSTER = `${TYPE}.config.cluster.v3.Cluster`

export function listener(
  name: string,
  port: number,
  more: object = {},
  perTryTimeout = '1s',
): object {
  const retry = {
    retry_on: 'connect-failure,refused-stream,reset',
    num_retries: 3,
    per_try_timeout: perTryTimeout,
    retry_host_predicate: [
      {
        name: 'envoy.retry_host_predicates.previous_hosts',
        typed_config: {
          '@type': `${TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate`,
        },
      },
    ],
    host_selection_retry_max_attempts: 5,
  }
  const manager = {
    '@type': `${TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    http_filters: [
      {
        name: 'envoy.filters.http.router',
        typed_config: { '@type': `${TYPE}.extensions.filters.http.router.v3.Router` },
      },
    ],
    request_headers_timeout: '2s',
    route_config: {
      name,
      virtual_hosts: [
        {
          name,
          domains: ['*'],
          routes: [
            {
              match: { prefix: '/' },
              route: { cluster: 'app', timeout: '10s', retry_policy: retry },
            },
          ],
        },
      ],
    },
    ...more,
  }
  const filter = { name: 'envoy.filters.network.http_connection_manager', typed_config: manager }
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [{ name, filters: [filter] }],
  }
}

export function cluster(ports: readonly number[], more: object = {}): object {
  const endpoints = ports.map((port) => ({
    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
  }))
  return {
    name: 'app',
    type: 'STATIC',
    connect_timeout: '1s',
    lb_policy: 'ROUND_ROBIN',
    // The default budget, a fifth of what is under way, is less than what one dead host of two asks for.
    circuit_breakers: {
      thresholds: [
        {
          // Workers divide these, and connections do not divide themselves evenly.
          max_connections: 10_000,
          max_requests: 10_000,
          max_retries: 1_000,
          retry_budget: { budget_percent: { value: 100 }, min_retry_concurrency: 100 },
        },
      ],
    },
    load_assignment: { cluster_name: 'app', endpoints: [{ lb_endpoints: endpoints }] },
    ...more,
  }
}

export function untilAccepts(port: number): Promise<void> {
  return new Promise((resolve) => {
    const attempt = () => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve()
      })
      socket.once('error', () => setTimeout(attempt, 10))
    }
    attempt()
  })
}

/** One line a row, of which `tools/test.ts` makes the table at the end. */
export function report(row: string, figure: string): void {
  console.log(`▪ ${row}: ${figure}`)
}

export interface WorkerInfo {
  readonly pid: number
  readonly state: string
  readonly restarts: number
  readonly connections: number
}

export async function workersOf(stage: Stage): Promise<readonly WorkerInfo[]> {
  return JSON.parse(await adminText(stage.admin, '/server_info')).weft.workers ?? []
}

export async function adminText(port: number, path: string, method = 'GET'): Promise<string> {
  const token = method === 'POST' ? { authorization: `Bearer ${await proxyToken(port)}` } : {}
  // A connection that is kept may be that of a process which was upgraded since.
  const headers = { connection: 'close', ...token }
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return text
}

/**
 * The demo's processes: control plane, ingress gateway, and the bookstore's six workloads, each
 * application behind its own sidecar – or without one, dialling out to a broker.
 */
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { bookstoreFile, EXAMPLE_DIR } from '../program-files.ts'
import { freePort, LOOPBACK } from '../run/addresses.ts'
import { BOOKSTORE_PORT, type DemoWorkload, WORKLOADS, workloadName } from './topology.ts'
import { startWeft, tailOf, type WeftProcess } from './weft-process.ts'

export interface BookstoreMesh {
  /** Where visitors come in. */
  readonly url: string
  /** The control plane's admin API. */
  readonly controlUrl: string
  /** The folder that the control plane watches. */
  readonly meshDir: string
  readonly logDir: string
  /** The last lines that the gateway printed. */
  gatewayLog(): string
  /** Admin ports of the proxies by workload name; the gateway is `ingress`, the broker `broker`. */
  readonly adminPorts: ReadonlyMap<string, number>
  readonly control: WeftProcess
  readonly processes: readonly WeftProcess[]
  /** Resolves with the first process that ends by itself. */
  readonly broken: Promise<string>
  stop(): Promise<void>
  /** For exits that cannot wait. */
  kill(): void
}

/** How the bookstore's applications are in the mesh. */
export type DemoKind = 'sidecars' | 'broker'

const INGRESS = 'ingress'
export const BROKER = 'broker'
const PREFERRED_HTTP_PORT = 8080
export const PREFERRED_ADMIN_PORT = 15_014
const STOP_GRACE_MS = 1_500

/** Addresses of a mesh are its own: a proxy that the user has configured is none of its business. */
const NOT_INHERITED = /^(?:https?_proxy|no_proxy|all_proxy|node_use_env_proxy|port|weft_.*)$/i

/** @param usesUsualPorts Where they are free; otherwise any free ones are taken. */
export async function startBookstore(
  env: Readonly<Record<string, string | undefined>>,
  usesUsualPorts: boolean,
  kind: DemoKind,
): Promise<BookstoreMesh> {
  const home = await mkdtemp(join(tmpdir(), 'weft-demo-'))
  const processes: WeftProcess[] = []
  const stop = async () => {
    await Promise.all(processes.map((process) => process.stop(STOP_GRACE_MS)))
    await rm(home, { recursive: true, force: true })
  }
  try {
    return await start({ home, env, kind }, await pickPorts(usesUsualPorts), processes, stop)
  } catch (error) {
    await stop()
    throw error
  }
}

interface DemoPlan {
  readonly home: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly kind: DemoKind
}

async function start(
  { home, env, kind }: DemoPlan,
  [adminPort, xdsPort, httpPort]: readonly [number, number, number],
  processes: WeftProcess[],
  stop: () => Promise<void>,
): Promise<BookstoreMesh> {
  const meshDir = join(home, 'mesh')
  const logDir = join(home, 'logs')
  const stateDir = join(home, 'state')
  await mkdir(logDir)
  await cp(join(EXAMPLE_DIR, 'mesh'), meshDir, { recursive: true })
  const childEnv = Object.fromEntries(
    Object.entries(env).filter(([name]) => !NOT_INHERITED.test(name)),
  )
  const launch = (name: string, args: readonly string[]) => {
    const logFile = join(logDir, `${name}.log`)
    const process = startWeft({ name, args, logFile, env: childEnv })
    processes.push(process)
    return process
  }

  const xds = `${LOOPBACK}:${xdsPort}`
  // First the control plane: proxies would wait for it too, but with growing pauses.
  const control = launch('control', [
    'control',
    meshDir,
    ...['--xds', xds, '--admin', `${LOOPBACK}:${adminPort}`],
    ...['--state', join(stateDir, 'control')],
  ])
  const shared = ['--control', xds, '--state', stateDir]
  const controlReport = await control.ready
  const gateway = launch(INGRESS, gatewayArgs(httpPort, shared))
  const behind =
    kind === 'broker'
      ? await launchBroker({ home, stateDir, secret: secretFile(childEnv, xds), shared }, launch)
      : WORKLOADS.map((workload) => launch(workloadName(workload), workloadArgs(workload, shared)))
  const proxies = [gateway, ...behind]
  const reports = await Promise.all(proxies.map(({ ready }) => ready))
  return {
    url: `http://${LOOPBACK}:${httpPort}`,
    controlUrl: `http://${LOOPBACK}:${controlReport.ports.admin ?? adminPort}`,
    meshDir,
    logDir,
    gatewayLog: () => tailOf(join(logDir, `${INGRESS}.log`)),
    adminPorts: new Map(
      proxies.flatMap(({ name }, i) => {
        const port = reports[i]?.ports.admin
        return port === undefined ? [] : [[name, port] as const]
      }),
    ),
    control,
    processes,
    broken: Promise.race(
      processes.map(async ({ name, exited }) => `${name} ended (${await exited})`),
    ),
    stop,
    kill: () => {
      for (const process of processes) process.kill()
    },
  }
}

type Launch = (name: string, args: readonly string[]) => WeftProcess

/** The broker, and the applications that dial out to it: each listens on a socket file only. */
async function launchBroker(
  plan: {
    readonly home: string
    readonly stateDir: string
    readonly secret: string
    readonly shared: readonly string[]
  },
  launch: Launch,
): Promise<readonly WeftProcess[]> {
  const broker = launch(BROKER, [
    'broker',
    ...['--listen', `${LOOPBACK}:0`, '--listen-ws', 'off', '--admin', `${LOOPBACK}:0`],
    ...plan.shared,
  ])
  const { ports } = await broker.ready
  const agents = WORKLOADS.map((workload) =>
    launch(workloadName(workload), [
      'agent',
      ...['--broker', `${LOOPBACK}:${ports.tcp ?? 0}`, '--token-file', plan.secret],
      ...['--service', `${workload.service}:${BOOKSTORE_PORT}`, '--version', workload.version],
      ...['--app-socket', join(plan.home, `${workloadName(workload)}.sock`)],
      ...applicationWords(workload),
    ]),
  )
  return [broker, ...agents]
}

/** Where the control plane leaves what proves to be of the same user. */
function secretFile(env: Readonly<Record<string, string | undefined>>, xds: string): string {
  const state = env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state')
  return join(state, 'weft', 'bootstrap', `${xds.replace(':', '-')}.token`)
}

/** The usual ports where they are free, so that `weft apply` and the browser need no flags. */
async function pickPorts(usesUsualPorts: boolean): Promise<readonly [number, number, number]> {
  const adminPort = await freePort(LOOPBACK, usesUsualPorts ? PREFERRED_ADMIN_PORT : 0)
  const httpPort = await freePort(LOOPBACK, usesUsualPorts ? PREFERRED_HTTP_PORT : 0)
  return [adminPort, await freePort(LOOPBACK), httpPort]
}

function gatewayArgs(httpPort: number, shared: readonly string[]): readonly string[] {
  return [
    'proxy',
    ...['--role', 'gateway', '--bind', LOOPBACK, '--admin', `${LOOPBACK}:0`],
    // Istio's samples have 8080 in newer releases and 80 in older ones.
    ...['--map', `80=${httpPort}`, '--map', `8080=${httpPort}`],
    ...shared,
  ]
}

function workloadArgs(workload: DemoWorkload, shared: readonly string[]): readonly string[] {
  return [
    'run',
    ...['--service', workload.service, '--version', workload.version],
    ...['--port', String(BOOKSTORE_PORT), '--app-port', '0'],
    ...shared,
    ...applicationWords(workload),
  ]
}

function applicationWords(workload: DemoWorkload): readonly string[] {
  return [
    '--',
    ...[process.execPath, '--disable-warning=ExperimentalWarning'],
    bookstoreFile(workload.file),
  ]
}

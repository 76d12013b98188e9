/**
 * A mesh whose certificates live for seconds: a control plane with a CA, a caller and two replicas
 * of a service, each a process of its own; the replicas take mutual TLS only. Where certificates
 * are short, the caller's connections are, too, so that handshakes go on all the time.
 */
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { CaStatus } from '@weft/control'
import {
  eventually,
  freePort,
  ownerToken,
  type Running,
  startWeft,
  temporaryFolder,
} from '../e2e/weft.ts'
import { adminText, untilAccepts } from './stage.ts'

const APP = fileURLToPath(new URL('app.ts', import.meta.url))
/** Processes start slowly on a machine that is busy. */
const LIMIT_MS = 40_000

const STRICT = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
`
const SHORT_CONNECTIONS = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: app, namespace: default}
spec:
  host: app
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 25}}}
`

interface Handshakes {
  readonly done: number
  readonly failed: number
  /** Counters that are not 0, by proxy: why. */
  readonly why: readonly string[]
}

export interface RotationMesh extends AsyncDisposable {
  /** Where callers go, for the host `app:9080`. */
  readonly outbound: number
  readonly proxies: readonly Running[]
  ca(): Promise<CaStatus>
  rotate(): Promise<CaStatus>
  /** Of all proxies, both sides. */
  handshakes(): Promise<Handshakes>
  /** Requests that a proxy answered with 5xx itself, or heard such of: why, by its access log. */
  refusals(): readonly string[]
  killControl(): Promise<void>
  startControl(): Promise<void>
  /** By proxy: the gauge `name`. */
  gauge(name: string): Promise<readonly number[]>
}

/**
 * @param lives Of certificates, as `weft control` takes it; empty: its defaults.
 * @param env Of all processes.
 */
export async function openRotationMesh(
  lives: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<RotationMesh> {
  const folder = await temporaryFolder()
  const config = join(folder.path, 'mesh')
  mkdirSync(config)
  writeFileSync(join(config, 'strict.yaml'), STRICT)
  if (lives.length > 0) writeFileSync(join(config, 'short.yaml'), SHORT_CONNECTIONS)
  const ports = await Promise.all(Array.from({ length: 8 }, () => freePort()))
  const [xds = 0, admin = 0, outbound = 0, callerAdmin = 0, ...rest] = ports
  const started: Running[] = []
  const start = (args: readonly string[]): Running => {
    const running = startWeft(args, { env })
    started.push(running)
    return running
  }
  let control: Running | undefined
  const startControl = async () => {
    control = start([
      ...['control', config, '--xds', `127.0.0.1:${xds}`, '--admin', `127.0.0.1:${admin}`],
      ...['--state', join(folder.path, 'plane'), '--log-level', 'info', ...lives],
    ])
    await control.saw('Control plane is up')
  }
  await startControl()
  const state = ['--state', join(folder.path, 'state')]
  const logs = ['caller', 'app-0', 'app-1'].map((name) => join(folder.path, `${name}.log`))
  const [callerLog = '', ...replicaLogs] = logs
  const shared = ['--control', `127.0.0.1:${xds}`, ...state, '--log-level', 'info']
  const replicas = [rest.slice(0, 2), rest.slice(2, 4)].map(([app = 0, ownAdmin = 0], i) => ({
    app,
    ownAdmin,
    running: start([
      ...['run', ...shared, '--service', 'app', '--name', `app-${i}`, '--port', '9080'],
      ...['--service-account', 'app', '--app-port', `${app}`, '--admin', `${ownAdmin}`],
      ...['--access-log', replicaLogs[i] ?? ''],
      ...['--', process.execPath, APP, `${app}`],
    ]),
  }))
  const caller = start([
    ...['proxy', ...shared, '--name', 'caller', '--service-account', 'caller'],
    ...['--outbound', `127.0.0.1:${outbound}`, '--admin', `127.0.0.1:${callerAdmin}`],
    ...['--access-log', callerLog],
  ])
  await Promise.all(replicas.map(({ app }) => untilAccepts(app)))
  const admins = [callerAdmin, ...replicas.map(({ ownAdmin }) => ownAdmin)]
  await eventually(
    async () => {
      const listed = await adminText(callerAdmin, '/clusters').catch(() => '')
      return [...listed.matchAll(/^outbound\|9080\|[^\n]*::health_flags::healthy$/gm)].length
    },
    (healthy) => healthy === 2,
    LIMIT_MS,
  )
  const ca = async (path: string, method: string) => {
    const authorization = `Bearer ${await ownerToken(admin)}`
    const headers = { authorization, 'content-type': 'application/json' }
    // A connection of its own: one that rested may be closed as it is used again.
    const call = request({ host: '127.0.0.1', port: admin, path, method, headers, agent: false })
    call.end(method === 'POST' ? '{}' : undefined)
    const [answer] = (await once(call, 'response')) as [IncomingMessage]
    const body = await text(answer)
    if (answer.statusCode !== 200) throw new Error(`${path}: ${answer.statusCode} ${body}`)
    return JSON.parse(body) as CaStatus
  }
  return {
    outbound,
    proxies: [caller, ...replicas.map(({ running }) => running)],
    ca: () => ca('/v1/ca', 'GET'),
    rotate: () => ca('/v1/ca/rotate', 'POST'),
    startControl,
    refusals: () => logs.flatMap(refusalsIn),
    async killControl() {
      control?.process.kill('SIGKILL')
      await control?.finished
    },
    async handshakes() {
      const texts = await Promise.all(admins.map((port) => adminText(port, '/stats')))
      const sum = (name: RegExp) =>
        texts
          .flatMap((stats) => [...stats.matchAll(name)])
          .reduce((total, [, count]) => total + Number(count), 0)
      return {
        done: sum(/ssl\.handshake: (\d+)$/gm),
        failed: sum(/ssl\.(?:connection_error|fail_verify_\w+): (\d+)$/gm),
        why: texts.flatMap((stats, i) =>
          [...stats.matchAll(/^\S*ssl\.(?:connection_error|fail_verify_\w+): [1-9]\d*$/gm)].map(
            ([line]) => `${['caller', 'app-0', 'app-1'][i]} ${line}`,
          ),
        ),
      }
    },
    gauge: (name) =>
      Promise.all(
        admins.map(async (port) => {
          const metrics = await adminText(port, '/stats/prometheus')
          return Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, 'm').exec(metrics)?.[1])
        }),
      ),
    async [Symbol.asyncDispose]() {
      for (const one of started.toReversed()) await one[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

interface LogEntry {
  readonly response_code?: number
  readonly response_flags?: string
  readonly response_code_details?: string
  readonly upstream_transport_failure_reason?: string
  readonly downstream_transport_failure_reason?: string
  readonly connection_termination_details?: string
}

/** The log of a proxy that is still writing: its last line may be half of one. */
function refusalsIn(path: string): readonly string[] {
  if (!existsSync(path)) return []
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1)
  return lines.flatMap((line) => {
    const entry = JSON.parse(line) as LogEntry
    const { response_code: status = 0, response_flags: flags, response_code_details: why } = entry
    if (status !== 0 && status < 500) return []
    const reasons = [
      why,
      entry.upstream_transport_failure_reason,
      entry.downstream_transport_failure_reason,
      entry.connection_termination_details,
    ].filter((one) => one !== undefined && one !== null)
    return [`${basename(path)}: ${status} ${flags ?? '-'} ${reasons.join(' ')}`.trim()]
  })
}

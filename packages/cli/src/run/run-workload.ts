/**
 * A workload of the mesh: sidecar first, application second, one end.
 *
 *     open sidecar (holds connections) ─► start CMD ─► relay signals ─► CMD ends ─► exit with its code
 *
 * The application does not wait for the first configuration: what it dials
 * meanwhile is held by the sidecar.
 */

import type { LogScopes } from '@weft/base'
import type { OfferedPort, Workload } from '@weft/model'
import {
  type ConfigSource,
  DEFAULT_OVERLOAD,
  type IdentityOptions,
  type SingleProxy,
  startProxy,
  type TransportChoice,
} from '@weft/proxy'
import { CommandError } from '../command.ts'
import { programVersion } from '../program-version.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { LOOPBACK } from './addresses.ts'
import { childEnvironment, type RunningChild, startChild } from './child.ts'
import { privateSocket } from './private-socket.ts'
import { openProbePort, type ProbePort } from './probe-port.ts'
import { leaveToken } from './proxy-token.ts'
import { reportReady } from './report-ready.ts'
import { instanceOf } from './sidecar-options.ts'

export interface WorkloadRun {
  readonly command: readonly string[]
  readonly workload: Workload
  readonly offers: readonly OfferedPort[]
  /** Absent: who has no identity asks the application itself. */
  readonly probe: ProbePort | undefined
  readonly source: ConfigSource
  readonly identity: IdentityOptions | undefined
  readonly outboundPort: number
  readonly adminPort: number
  readonly accessLog: string | undefined
  readonly keyHosts: readonly string[]
  readonly transport: TransportChoice | undefined
}

/** Peers get this long at least to hear that the workload is leaving before the application is told to. */
const DRAIN_NOTICE_MS = 300
/** What a sidecar may take to close once its application is gone. */
const CLOSE_MS = 100

/** @returns The command's exit code. */
export async function runWorkload(
  run: WorkloadRun,
  terminal: Terminal,
  logs: LogScopes,
): Promise<number> {
  let quit = () => {}
  await using _probe = run.probe === undefined ? undefined : await openProbePort(run.probe)
  // Whoever wants the application's identity from elsewhere has said so.
  const isServed = run.identity !== undefined && terminal.env.SPIFFE_ENDPOINT_SOCKET === undefined
  await using socket = isServed ? await privateSocket(terminal) : undefined
  const sidecar = await openSidecar(run, socket?.path, () => quit(), terminal, logs)
  const takeToken =
    sidecar.admin === undefined
      ? async () => undefined
      : await leaveToken(sidecar.admin, sidecar.adminToken ?? '', terminal, logs.logger('admin'))
  const appPort = run.offers[0]?.appPort
  let child: RunningChild
  try {
    const env = childEnvironment(terminal.env, {
      outboundPort: sidecar.outbound?.port ?? 0,
      appPort,
      facts: {
        ...factsOf(run, sidecar),
        ...(socket === undefined ? {} : { SPIFFE_ENDPOINT_SOCKET: `unix://${socket.path}` }),
      },
    })
    child = await startChild(run.command, env, terminal.cwd)
  } catch (error) {
    await sidecar.close()
    throw error
  }
  // A sidecar that must end (a bug, POST /quitquitquit) takes its application along.
  quit = () => child.process.kill('SIGTERM')
  const stopRelaying = relaySignals(child, sidecar, run.offers.length > 0, terminal)
  // Whatever ends this process, also a crash of it, ends the application.
  const killChild = () => void child.process.kill('SIGKILL')
  process.once('exit', killChild)
  reportReady({
    kind: 'sidecar',
    ports: {
      admin: sidecar.admin?.port ?? 0,
      outbound: sidecar.outbound?.port ?? 0,
      ...(appPort === undefined ? {} : { app: appPort }),
    },
  })

  const exitCode = await child.exitCode
  process.off('exit', killChild)
  stopRelaying()
  await takeToken()
  await atMost(CLOSE_MS, sidecar.close(), terminal)
  return exitCode
}

async function openSidecar(
  run: WorkloadRun,
  workloadSocket: string | undefined,
  onQuit: () => void,
  terminal: Terminal,
  logs: LogScopes,
): Promise<SingleProxy> {
  try {
    return await startProxy(
      {
        role: 'sidecar',
        workload: run.workload,
        instance: instanceOf(run.workload, terminal.random),
        address: run.offers[0]?.address ?? LOOPBACK,
        source: run.source,
        ...(run.identity === undefined ? {} : { identity: run.identity }),
        ...(workloadSocket === undefined ? {} : { workloadSocket }),
        outbound: { host: LOOPBACK, port: run.outboundPort },
        offers: run.offers,
        bindHost: run.offers[0]?.address ?? LOOPBACK,
        admin: { host: LOOPBACK, port: run.adminPort },
        timings: { drainNoticeMs: DRAIN_NOTICE_MS },
        ...(run.accessLog === undefined ? {} : { accessLog: run.accessLog }),
        keyHosts: run.keyHosts,
        overload: DEFAULT_OVERLOAD,
        ...(run.transport === undefined ? {} : { transport: run.transport }),
        version: await programVersion(),
      },
      { clock: terminal.clock, random: terminal.random, logs, onQuit },
    )
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new CommandError(`Cannot start the sidecar: ${why}`, 1, { cause: error })
  }
}

function factsOf(run: WorkloadRun, sidecar: SingleProxy): Record<string, string | undefined> {
  const { workload, offers } = run
  return {
    WEFT_WORKLOAD: workload.name,
    WEFT_NAMESPACE: workload.namespace,
    WEFT_SERVICE: offers[0]?.service,
    WEFT_VERSION: workload.labels.version,
    WEFT_OUTBOUND: `http://${LOOPBACK}:${sidecar.outbound?.port ?? 0}`,
    WEFT_ADMIN: `http://${LOOPBACK}:${sidecar.admin?.port ?? 0}`,
    WEFT_ADMIN_TOKEN: sidecar.adminToken,
  }
}

/**
 * SIGTERM first tells the mesh, then the application, so that nobody calls it
 * any more when it goes and nobody waits for its answer. Everything else, and a
 * second signal, goes on at once.
 */
function relaySignals(
  child: RunningChild,
  sidecar: SingleProxy,
  isCalled: boolean,
  terminal: Terminal,
): () => void {
  let told = false
  return terminal.onSignals((signal) => {
    if (signal !== 'SIGTERM' || told || !isCalled) {
      child.process.kill(signal)
      return
    }
    told = true
    const end = () => void child.process.kill('SIGTERM')
    sidecar.drainInbound().then(end, end)
  })
}

function atMost(limitMs: number, work: Promise<void>, terminal: Terminal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = terminal.clock.after(limitMs, resolve)
    work
      .catch(() => undefined)
      .finally(() => {
        cancel()
        resolve()
      })
  })
}

/** A proxy in a process of its own, until a signal drains it or a successor takes over. */
import type { LogScopes } from '@weft/base'
import { renderAddress } from '@weft/model'
import {
  type HandedSockets,
  type ProxyHandle,
  type ProxyOptions,
  startProxy,
  startSupervisor,
} from '@weft/proxy'
import { CommandError } from '../command.ts'
import { programVersion } from '../program-version.ts'
import { firstSignal, type Terminal } from '../terminal/terminal.ts'
import { openProbePort, type ProbePort } from './probe-port.ts'
import { INHERITED_TOKEN, leaveToken } from './proxy-token.ts'
import { reportReady } from './report-ready.ts'
import { receiveSockets, startSuccessor, tellReady } from './upgrade.ts'
import { spawnWorker } from './workers.ts'

export async function runProxy(
  options: Omit<ProxyOptions, 'version'>,
  {
    isJson,
    concurrency,
    adminToken,
    probe,
  }: {
    readonly isJson: boolean
    readonly concurrency: number
    /** Chosen by the user; absent: one is made and left for the user. */
    readonly adminToken?: string
    readonly probe?: ProbePort
  },
  terminal: Terminal,
  logs: LogScopes,
): Promise<number> {
  const stopped = firstSignal(terminal, () => process.exit(130))
  const handed = await receiveSockets()
  let upgrade = (_concurrency?: number): boolean => false
  let upgradeFailure: string | undefined
  const token = adminToken ?? process.env[INHERITED_TOKEN]
  delete process.env[INHERITED_TOKEN]
  const more = {
    concurrency,
    ...(token === undefined ? {} : { adminToken: token }),
    upgradeFailure: () => upgradeFailure,
    onUpgrade: (wanted: number | undefined) => upgrade(wanted),
    ...(handed === undefined ? {} : { handed }),
  }
  const proxy = await openProxy(options, terminal, logs, more)
  const isSuccessor = handed !== undefined
  await using probePort = probe === undefined ? undefined : await openProbePort(probe, isSuccessor)
  const takeToken = await leaveTokenOf(proxy, adminToken, terminal, logs)
  const succeeded = new Promise<'succeeded'>((resolve) => {
    upgrade = upgradeOnce(proxy, logs, {
      succeeded: () => resolve('succeeded'),
      changed: (failure) => {
        upgradeFailure = failure
      },
    })
  })
  process.on('SIGUSR2', () => upgrade())
  const up = describe(options, proxy)
  terminal.out(isJson ? `${JSON.stringify({ ready: false, ...up })}\n` : renderUp(up))
  reportReady({
    kind: options.role,
    ports: {
      admin: proxy.admin?.port ?? 0,
      ...(proxy.outbound === undefined ? {} : { outbound: proxy.outbound.port }),
    },
  })
  const ended = Promise.race([stopped, succeeded])
  const first = await Promise.race([proxy.ready.then(() => 'ready'), ended])
  if (first === 'ready') {
    terminal.out(
      isJson ? `${JSON.stringify({ ready: true, ...up })}\n` : 'It has its configuration.\n',
    )
    if (handed !== undefined) tellReady()
  }
  if ((await ended) === 'succeeded') {
    await probePort?.[Symbol.asyncDispose]()
    await Promise.race([proxy.leave(), stopped.then(() => proxy.close())])
  } else {
    await proxy.drain()
    await takeToken()
  }
  return 0
}

/** A token that the user chose is in a file already. */
async function leaveTokenOf(
  { admin, adminToken }: ProxyHandle,
  chosen: string | undefined,
  terminal: Terminal,
  logs: LogScopes,
): Promise<() => Promise<void>> {
  if (admin === undefined || adminToken === undefined || chosen !== undefined) {
    return async () => undefined
  }
  return leaveToken(admin, adminToken, terminal, logs.logger('admin'))
}

/** One at a time; after a failure it may be tried again. False: one is under way, or was well. */
function upgradeOnce(
  proxy: ProxyHandle,
  logs: LogScopes,
  told: { succeeded(): void; changed(failure: string | undefined): void },
): (concurrency?: number) => boolean {
  const log = logs.logger('upgrade')
  let isRunning = false
  return (concurrency) => {
    if (isRunning) return false
    isRunning = true
    told.changed(undefined)
    startSuccessor(proxy, concurrency, log).then(told.succeeded, (error: unknown) => {
      isRunning = false
      told.changed(error instanceof Error ? error.message : String(error))
      log.error('upgrade failed; this process goes on', { error })
    })
    return true
  }
}

/** @throws {CommandError} If a port is taken or an option does not fit. */
export async function openProxy(
  options: Omit<ProxyOptions, 'version'>,
  terminal: Terminal,
  logs: LogScopes,
  {
    concurrency = 1,
    ...more
  }: {
    readonly concurrency?: number
    readonly handed?: HandedSockets
    readonly adminToken?: string
    readonly onUpgrade?: (concurrency: number | undefined) => boolean
    readonly upgradeFailure?: () => string | undefined
  } = {},
): Promise<ProxyHandle> {
  const whole = { ...options, version: await programVersion() }
  const deps = {
    clock: terminal.clock,
    random: terminal.random,
    logs,
    onQuit: (exitCode: number) => process.exit(exitCode),
    ...more,
  }
  try {
    if (concurrency === 1) return await startProxy(whole, deps)
    return await startSupervisor(whole, concurrency, { ...deps, spawn: spawnWorker })
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
    const why = error instanceof Error ? error.message : String(error)
    const hint = taken ? '\n--outbound, --admin and --map take other ports.' : ''
    throw new CommandError(`Cannot start the ${options.role}: ${why}${hint}`, 1, { cause: error })
  }
}

interface Up {
  readonly role: string
  readonly workload: string
  readonly admin: string | undefined
  readonly outbound: string | undefined
}

function describe(options: Omit<ProxyOptions, 'version'>, proxy: ProxyHandle): Up {
  const { name, namespace } = options.workload
  return {
    role: options.role,
    workload: `${namespace}/${name}`,
    admin: proxy.admin === undefined ? undefined : `http://${renderAddress(proxy.admin)}`,
    outbound: proxy.outbound === undefined ? undefined : `http://${renderAddress(proxy.outbound)}`,
  }
}

function renderUp({ role, workload, admin, outbound }: Up): string {
  const parts = [
    `The ${role} of ${workload} is up`,
    ...(outbound === undefined ? [] : [`HTTP_PROXY=${outbound}`]),
    ...(admin === undefined ? [] : [`admin ${admin}`]),
  ]
  return `${parts.join(', ')}; it waits for its configuration.\n`
}

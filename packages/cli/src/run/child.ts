/**
 * The application beside its sidecar: started as a child, told by its
 * environment, waited for. Its end decides ours.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { CommandError } from '../command.ts'

export interface ChildEnvironment {
  readonly outboundPort: number
  readonly appPort: number | undefined
  /** `WEFT_…` facts. */
  readonly facts: Readonly<Record<string, string | undefined>>
}

/** What `bin/weft` sets for a sidecar's own memory. */
const OWN_MALLOC = { name: 'MALLOC_MMAP_THRESHOLD_', value: '30000' } as const

/** Never through the mesh: what the application asks on its own machine. */
const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1']

/**
 * The environment in which ordinary HTTP clients use the sidecar: curl, Python,
 * Go and Java read `http_proxy`, Node from 24 on when NODE_USE_ENV_PROXY says so.
 */
export function childEnvironment(
  inherited: Readonly<Record<string, string | undefined>>,
  { outboundPort, appPort, facts }: ChildEnvironment,
): Record<string, string | undefined> {
  const proxy = `http://127.0.0.1:${outboundPort}`
  const own = inherited.NO_PROXY ?? inherited.no_proxy
  const noProxy = [...new Set([...(own?.split(',') ?? []), ...LOCAL_HOSTS])].join(',')
  const isOwnMalloc = inherited[OWN_MALLOC.name] === OWN_MALLOC.value
  return {
    ...inherited,
    ...(isOwnMalloc ? { [OWN_MALLOC.name]: undefined } : {}),
    HTTP_PROXY: proxy,
    http_proxy: proxy,
    NO_PROXY: noProxy,
    no_proxy: noProxy,
    NODE_USE_ENV_PROXY: '1',
    ...(appPort === undefined ? {} : { PORT: String(appPort) }),
    ...facts,
  }
}

export interface RunningChild {
  readonly process: ChildProcess
  /** The child's exit code; 128 + n when signal n ended it, as a shell says it. */
  readonly exitCode: Promise<number>
}

/** @throws {CommandError} 127 when there is no such command, 126 when it cannot be run. */
export async function startChild(
  command: readonly string[],
  env: Record<string, string | undefined>,
  cwd: string,
): Promise<RunningChild> {
  const [file = '', ...args] = command
  const child = spawn(file, args, { stdio: 'inherit', env, cwd })
  const exitCode = new Promise<number>((resolve) => {
    child.once('exit', (code, signal) => resolve(exitCodeOf(code, signal)))
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (error: NodeJS.ErrnoException) => {
      const isMissing = error.code === 'ENOENT'
      const why = isMissing ? 'there is no such command' : error.message
      reject(new CommandError(`Cannot run ${file}: ${why}`, isMissing ? 127 : 126))
    })
  })
  return { process: child, exitCode }
}

export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0)
}

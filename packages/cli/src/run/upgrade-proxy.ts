/**
 * `weft proxy upgrade`: asks a running proxy by its admin port to give way to the program
 * that is on disk now, and watches until the new process answers there.
 */
import type { Clock } from '@weft/base'
import { renderAddress, type SocketAddress } from '@weft/model'
import { CommandError, EXIT_UNREACHABLE } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { knownToken } from './proxy-token.ts'

interface ProxyInfo {
  readonly pid: number
  readonly version: string
  readonly workers: number
  /** Why the last try at a successor failed. */
  readonly failure: string | undefined
}

/** The part of `/server_info` that counts here. */
interface ServerInfo {
  readonly version: string
  readonly command_line_options: { readonly concurrency: number }
  readonly weft: { readonly pid: number; readonly upgrade_failure?: string | null }
}

export interface UpgradeRequest {
  readonly admin: SocketAddress
  readonly concurrency: number | undefined
  readonly isJson: boolean
  /** Chosen by the user; absent: the one that the proxy left. */
  readonly adminToken?: string
}

const ASK_EVERY_MS = 100
/** A little more than the old process waits for the new one. */
const LIMIT_MS = 65_000

/** @throws {CommandError} If nobody answers, or the old process goes on. */
export async function upgradeProxy(
  { admin, concurrency, isJson, adminToken }: UpgradeRequest,
  terminal: Terminal,
): Promise<number> {
  const url = `http://${renderAddress(admin)}`
  const before = await infoOf(url, adminToken)
  if (before === undefined) {
    throw new CommandError(`No proxy answers on ${url}`, EXIT_UNREACHABLE, {
      hint: '--admin names another admin port',
    })
  }
  const startedMs = terminal.clock.monotonicMs()
  const query = concurrency === undefined ? '' : `?concurrency=${concurrency}`
  const token = adminToken ?? (await knownToken(admin, terminal))
  const answer = await fetch(`${url}/upgrade${query}`, {
    method: 'POST',
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  })
  if (answer.status === 401) {
    throw new CommandError(`The proxy on ${url} does not know you`, 1, {
      hint: 'Be the user who runs it, or bring its token: --admin-token-file FILE',
    })
  }
  if (!answer.ok) throw new CommandError((await answer.text()).trim())
  if (!isJson) terminal.out(`Process ${before.pid} (${describe(before)}) starts its successor …\n`)
  const after = await successorOf(before, url, terminal.clock, adminToken)
  const tookMs = Math.round(terminal.clock.monotonicMs() - startedMs)
  terminal.out(
    isJson
      ? `${JSON.stringify({ ok: true, before, after, tookMs })}\n`
      : `Process ${after.pid} (${describe(after)}) serves since ${tookMs} ms; ${before.pid} ends when its last connection has.\n`,
  )
  return 0
}

async function successorOf(
  before: ProxyInfo,
  url: string,
  clock: Clock,
  token: string | undefined,
): Promise<ProxyInfo> {
  const untilMs = clock.monotonicMs() + LIMIT_MS
  while (clock.monotonicMs() < untilMs) {
    // Not the clock's: nothing else keeps this process alive.
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS))
    // While the port changes hands an answer may break off.
    const now = await infoOf(url, token)
    if (now !== undefined && now.pid !== before.pid) return now
    if (now?.failure !== undefined) {
      throw new CommandError(`Process ${before.pid} goes on: ${now.failure}`, 1, {
        hint: 'The log of the proxy has what its successor printed',
      })
    }
  }
  throw new CommandError(`Process ${before.pid} goes on: no successor after ${LIMIT_MS} ms`)
}

/** @param token Where others reach the port, looking takes it too. */
async function infoOf(url: string, token: string | undefined): Promise<ProxyInfo | undefined> {
  try {
    const answer = await fetch(`${url}/server_info`, {
      headers: {
        connection: 'close',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
    })
    const info = (await answer.json()) as ServerInfo
    const { weft, version, command_line_options: options } = info
    return {
      pid: weft.pid,
      version,
      workers: options.concurrency,
      failure: weft.upgrade_failure ?? undefined,
    }
  } catch {
    return undefined
  }
}

function describe({ version, workers }: ProxyInfo): string {
  return `${version}, ${workers === 1 ? 'one worker' : `${workers} workers`}`
}

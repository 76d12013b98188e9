/**
 * One `weft proxy` takes the place of another:
 *
 *     old                                   new (the program that is on disk now)
 *      │ start, with a channel ───────────────► asks for the sockets
 *      │ each listening socket ───────────────► listens on the same ones, gets its configuration
 *      │ ◄──────────────────────────── `ready` │
 *      └ stops accepting, answers `Connection: close`, ends when the last tunnel has
 *
 * Until `ready` the old process serves as before; when the new one fails, it goes on.
 */
import { type ChildProcess, type SendHandle, spawn } from 'node:child_process'
import type { Logger } from '@weft/base'
import { type HandedSocket, HandedSockets, type ProxyHandle, sendable } from '@weft/proxy'
import { INHERITED_TOKEN } from './proxy-token.ts'
import { SUCCESSOR } from './successor.ts'

/** Long enough for a control plane that is busy; the old process serves meanwhile. */
const READY_TIMEOUT_MS = 60_000

type FromNew = { readonly weftUpgrade: 'send sockets' | 'ready' }
type FromOld =
  | { readonly weftUpgrade: 'socket'; readonly key: string }
  | { weftUpgrade: 'all sent' }

/**
 * Resolves once the successor serves.
 *
 * @param concurrency How many workers it has; absent: as many as its command line says.
 * @throws {Error} When it does not; nothing has changed then.
 */
export async function startSuccessor(
  proxy: ProxyHandle,
  concurrency: number | undefined,
  log: Logger,
): Promise<void> {
  const more = concurrency === undefined ? [] : ['--concurrency', String(concurrency)]
  const args = [...process.execArgv, ...process.argv.slice(1), ...more]
  const child = spawn(process.execPath, args, {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    detached: true,
    env: {
      ...process.env,
      [SUCCESSOR]: '1',
      ...(proxy.adminToken === undefined ? {} : { [INHERITED_TOKEN]: proxy.adminToken }),
    },
  })
  log.info('successor starts', { pid: child.pid })
  try {
    await untilReady(child, proxy)
  } catch (error) {
    child.kill('SIGKILL')
    throw error
  }
  child.disconnect()
  child.unref()
}

function untilReady(child: ChildProcess, proxy: ProxyHandle): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`The successor is not ready after ${READY_TIMEOUT_MS} ms`)),
      READY_TIMEOUT_MS,
    )
    const finish = (error?: Error) => {
      clearTimeout(timer)
      if (error === undefined) resolve()
      else reject(error)
    }
    child.once('error', finish)
    child.once('exit', (code, signal) => {
      finish(new Error(`The successor ended with ${signal ?? `code ${code}`}`))
    })
    child.on('message', (message) => {
      const { weftUpgrade } = message as Partial<FromNew>
      if (weftUpgrade === 'send sockets') sendSockets(child, proxy.handOver())
      else if (weftUpgrade === 'ready') finish()
    })
  })
}

function sendSockets(child: ChildProcess, sockets: readonly HandedSocket[]): void {
  for (const { key, handle } of sockets) {
    const message: FromOld = { weftUpgrade: 'socket', key }
    child.send(message, sendable(handle) as SendHandle)
  }
  const last: FromOld = { weftUpgrade: 'all sent' }
  child.send(last)
}

/** What the process that started this one handed over; `undefined` when it is nobody's successor. */
export function receiveSockets(): Promise<HandedSockets> | undefined {
  if (process.env[SUCCESSOR] === undefined || process.send === undefined) return undefined
  // Whoever this process starts later is not a successor.
  delete process.env[SUCCESSOR]
  const sockets: HandedSocket[] = []
  return new Promise((resolve) => {
    const onMessage = (message: unknown, handle: unknown) => {
      const told = message as FromOld
      if (told.weftUpgrade === 'socket' && typeof handle === 'object' && handle !== null) {
        sockets.push({ key: told.key, handle })
      } else if (told.weftUpgrade === 'all sent') {
        process.off('message', onMessage)
        resolve(new HandedSockets(sockets))
      }
    }
    process.on('message', onMessage)
    tell('send sockets')
  })
}

export function tellReady(): void {
  if (process.connected) tell('ready')
}

function tell(weftUpgrade: FromNew['weftUpgrade']): void {
  const message: FromNew = { weftUpgrade }
  process.send?.(message)
}

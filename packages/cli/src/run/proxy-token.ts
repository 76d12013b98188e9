/**
 * The token of a proxy's admin port, by which its user changes something there. It is left in a file
 * of mode 0600; a successor takes over the one of the process before, because for a moment both answer.
 */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Logger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { bootstrapFolder } from './bootstrap.ts'

/** In the environment of a successor; the system shows that to its user only. */
export const INHERITED_TOKEN = 'WEFT_INHERITED_ADMIN_TOKEN'

/** @throws {UsageError} When the file cannot be read, or what is in it is no token. */
export async function readTokenFile(file: string, { cwd }: Terminal): Promise<string> {
  let token: string
  try {
    token = (await readFile(resolve(cwd, file), 'utf8')).trim()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new UsageError(`--admin-token-file: cannot read ${file}: ${why}`, 'unreadable', { cause })
  }
  if (/^[\x21-\x7e]{16,4096}$/.test(token)) return token
  throw new UsageError(
    `--admin-token-file: ${file} must hold 16 to 4096 printable characters without blanks`,
  )
}

/** Of a proxy of this user. */
export async function knownToken(
  admin: SocketAddress,
  terminal: Terminal,
): Promise<string | undefined> {
  const text = await readFile(tokenFile(admin, terminal), 'utf8').catch(() => undefined)
  return text?.trim()
}

/** @returns Takes it away again, unless a successor has put its own there. */
export async function leaveToken(
  { host, port }: SocketAddress,
  token: string,
  terminal: Terminal,
  log: Logger,
): Promise<() => Promise<void>> {
  const path = tokenFile({ host, port }, terminal)
  const temporary = `${path}.${process.pid}.tmp`
  try {
    await mkdir(bootstrapFolder(terminal), { recursive: true, mode: 0o700 })
    await rm(temporary, { force: true })
    await writeFile(temporary, `${token}\n`, { mode: 0o600, flag: 'wx' })
    await rename(temporary, path)
  } catch (error) {
    // Nobody can change anything then, which is no reason not to serve.
    log.warn('cannot leave the token of the admin port; --admin-token-file names one', { error })
    return async () => undefined
  }
  return async () => {
    const left = await readFile(path, 'utf8').catch(() => '')
    if (left.trim() === token) await rm(path, { force: true })
  }
}

function tokenFile({ host, port }: SocketAddress, terminal: Terminal): string {
  return join(bootstrapFolder(terminal), `${host}-${port}.proxy-token`)
}

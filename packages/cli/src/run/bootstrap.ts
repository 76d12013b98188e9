/**
 * Where a control plane leaves the secret by which proxies of the same user, on the same machine,
 * join its mesh without a setting. Whoever can read it is this user.
 */
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { SocketAddress } from '@weft/model'
import type { Terminal } from '../terminal/terminal.ts'

export function bootstrapFolder({ env }: Terminal): string {
  return join(env.XDG_STATE_HOME ?? join(homedir(), '.local', 'state'), 'weft', 'bootstrap')
}

/** As the control plane names it. */
export function bootstrapFile(terminal: Terminal, { host, port }: SocketAddress): string {
  return join(bootstrapFolder(terminal), `${host}-${port}.token`)
}

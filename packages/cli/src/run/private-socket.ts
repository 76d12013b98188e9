/** A place for a Unix socket that only this user can reach. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Terminal } from '../terminal/terminal.ts'

export interface PrivateSocket extends AsyncDisposable {
  readonly path: string
}

/** In a folder of its own, of mode 0700, that goes with it. */
export async function privateSocket({ env }: Terminal): Promise<PrivateSocket> {
  const folder = await mkdtemp(join(env.XDG_RUNTIME_DIR ?? tmpdir(), 'weft-'))
  return {
    path: join(folder, 'workload.sock'),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

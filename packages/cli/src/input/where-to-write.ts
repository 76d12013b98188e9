/** Options that say which mesh a command changes or looks into. */
import { resolve } from 'node:path'
import type { ApplyResult, DeleteResult } from '@weft/control'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import type { MeshStatus } from '../inspect/status.ts'
import { MeshApi, type ObjectName } from '../mesh-api.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { apiTargetOf } from './control-access.ts'

export const DIR_OPTION: Option = {
  kind: 'value',
  short: 'd',
  placeholder: 'DIR',
  describe: 'write into this watched folder; no control plane is asked',
}

/** Something that takes objects: a running control plane, or the folder it watches. */
export interface Destination {
  apply(text: string, file: string): Promise<ApplyResult>
  delete(objects: readonly ObjectName[]): Promise<DeleteResult>
  /** What became of the objects; a folder by itself does not know. */
  status?(): Promise<MeshStatus>
}

/** @throws {UsageError} When an option is wrong. */
export async function meshApiOf(args: Arguments, terminal: Terminal): Promise<MeshApi> {
  return new MeshApi(await apiTargetOf(args, terminal))
}

export async function destinationOf(args: Arguments, terminal: Terminal): Promise<Destination> {
  const dir = args.value('dir')
  if (dir === undefined) {
    const api = await meshApiOf(args, terminal)
    return {
      apply: (text, file) => api.apply(text, file),
      delete: (objects) => api.delete(objects),
      status: () => api.status(),
    }
  }
  if (args.value('control') !== undefined) {
    throw new UsageError('--dir and --control exclude each other')
  }
  const folder = resolve(terminal.cwd, dir)
  const { applyFile, deleteObjects } = await import('@weft/control')
  return {
    apply: (text, file) => applyFile(folder, text, file),
    delete: (objects) => deleteObjects(folder, objects),
  }
}

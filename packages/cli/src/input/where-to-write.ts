/** Options that say which mesh a command changes or looks into. */
import { resolve } from 'node:path'
import type { ApplyResult, DeleteResult } from '@weft/control'
import type { Arguments } from '../arguments.ts'
import { type Option, UsageError } from '../command.ts'
import { MeshApi, type ObjectName } from '../mesh-api.ts'
import { DEFAULT_ADMIN, parseAddress } from '../run/addresses.ts'
import type { Terminal } from '../terminal/terminal.ts'

export const CONTROL_OPTION: Option = {
  kind: 'value',
  placeholder: 'URL',
  describe: `admin API of the control plane (http://${DEFAULT_ADMIN})`,
}

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
}

/** `http://host:port`, `host:port` or a port. @throws {UsageError} Otherwise. */
export function controlUrlOf(args: Arguments): string {
  const text = args.value('control') ?? DEFAULT_ADMIN
  if (/^https?:\/\//.test(text)) {
    if (!URL.canParse(text)) throw new UsageError(`--control must be a URL, got '${text}'`)
    return text
  }
  const { host, port } = parseAddress('control', text)
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

export async function destinationOf(args: Arguments, terminal: Terminal): Promise<Destination> {
  const dir = args.value('dir')
  if (dir === undefined) return new MeshApi(controlUrlOf(args))
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

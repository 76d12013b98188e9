/** What a proxy gives up when something runs out: from the command line and a file. */
import { readFileSync } from 'node:fs'
import { DEFAULT_OVERLOAD, type OverloadOptions, parseOverload } from '@weft/proxy'
import { parse } from 'yaml'
import type { Arguments } from '../arguments.ts'
import { UsageError } from '../command.ts'

const UNITS: Readonly<Record<string, number>> = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 }

/** @throws {UsageError} That says what is wrong with the file or the size. */
export function overloadOf(args: Arguments): OverloadOptions {
  const path = args.value('overload')
  const size = args.value('memory-limit')
  const options = path === undefined ? DEFAULT_OVERLOAD : readOverload(path)
  return size === undefined ? options : { ...options, maxMemoryBytes: parseSize(size) }
}

function readOverload(path: string): OverloadOptions {
  try {
    const whole = parse(readFileSync(path, 'utf8'))
    return parseOverload(whole?.overload_manager ?? whole?.overloadManager ?? whole)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UsageError(`--overload ${path}: ${why}`)
  }
}

function parseSize(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,12})(?:([KMG])(?:i?B)?)?$/i.exec(text) ?? []
  const bytes = Number(number) * (unit === '' ? 1 : (UNITS[unit.toUpperCase()] ?? 1))
  if (number === '' || bytes === 0) {
    throw new UsageError(`--memory-limit must be a size such as 256MiB or 1G, got ${text}`)
  }
  return bytes
}

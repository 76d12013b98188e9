/**
 * A filter's file as the broker runs it: imported by Node itself (types are stripped, not
 * checked), each time under a new address, so that a changed file is a new module. What it
 * imports by a relative path is loaded anew with it.
 */
import { readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseStrictJson } from '@weft/base'
import type { BrokerFilter, FilterMatch, FilterNeed } from './filter.ts'
import type { FilterSettings } from './loaded-filter.ts'

export interface LoadedFile {
  readonly settings: FilterSettings
  readonly filter: BrokerFilter
  readonly config: unknown
  /** Files that were read for it, its own included. */
  readonly files: readonly string[]
}

const PHASES = ['authn', 'authz', 'route', 'observe'] as const
const NEEDS = ['data', 'request-items', 'response-items'] as const
const INTERACTIONS = ['rr', 'fnf', 'stream', 'channel'] as const
const STRATEGIES = ['FAIL_CLOSE', 'FAIL_OPEN'] as const
const HOOKS = ['parse', 'open', 'onConnect', 'create', 'close'] as const
const DEFAULT_TIMEOUT_MS = 1_000
const MAX_TIMEOUT_MS = 60_000
const MAX_CONFIG_BYTES = 1_048_576

const MARK = 'weft-filter'
let loads = 0
/** Files of each load that is under way, by its number. */
const loading = new Map<string, Set<string>>()
let isHooked = false

/** What a module imports by a relative path belongs to the same load. */
function hookImports(): void {
  const { registerHooks } = process.getBuiltinModule('node:module')
  // Of Node 22.15; before, what a filter imports stays as it was.
  if (isHooked || typeof registerHooks !== 'function') return
  isHooked = true
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const found = nextResolve(specifier, context)
      const load = context.parentURL && new URL(context.parentURL).searchParams.get(MARK)
      if (!load || !found.url.startsWith('file:') || !/^\.{1,2}\//.test(specifier)) return found
      const url = new URL(found.url)
      loading.get(load)?.add(fileURLToPath(url))
      url.searchParams.set(MARK, load)
      return { ...found, url: url.href }
    },
  })
}

/** The JSON file that says how a filter is set: `audit.ts` has `audit.json` beside it. */
export function configFileOf(file: string): string {
  return file.replace(/\.[mc]?[jt]s$/, '.json')
}

/** @throws {Error} When it cannot be loaded, or is no filter; the message says what to do. */
export async function loadFilter(file: string): Promise<LoadedFile> {
  await checkOwner(file)
  hookImports()
  const load = String(++loads)
  const files = new Set([file, configFileOf(file)])
  loading.set(load, files)
  const url = pathToFileURL(file)
  url.searchParams.set(MARK, load)
  try {
    const filter = checkedFilter(await importFilter(url.href))
    const raw = await readSettings(configFileOf(file))
    const settings = settingsOf(file, filter, raw)
    const config = filter.parse === undefined ? raw.config : filter.parse(raw.config)
    return { settings, filter, config, files: [...files] }
  } finally {
    loading.delete(load)
  }
}

async function importFilter(href: string): Promise<unknown> {
  try {
    const module = (await import(href)) as { readonly filter?: unknown; readonly default?: unknown }
    return module.filter ?? module.default
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ERR_UNKNOWN_FILE_EXTENSION') throw error
    const why = `Node ${process.versions.node} does not run TypeScript: take 22.18 or newer, or .mjs`
    throw new Error(why, { cause: error })
  }
}

/** Whoever writes the file runs code in the broker. */
async function checkOwner(file: string): Promise<void> {
  const { mode } = await stat(file)
  if (process.platform !== 'win32' && (mode & 0o002) !== 0) {
    throw new Error('everybody may write it, and it would run in the broker: chmod o-w')
  }
}

function checkedFilter(value: unknown): BrokerFilter {
  if (typeof value !== 'object' || value === null) {
    throw new Error('it must export a filter: export const filter = { … } satisfies BrokerFilter')
  }
  const filter = value as Record<string, unknown>
  const wrong = HOOKS.find(
    (name) => filter[name] !== undefined && typeof filter[name] !== 'function',
  )
  if (wrong !== undefined) throw new Error(`${wrong} must be a function`)
  if (filter.create === undefined && filter.onConnect === undefined) {
    throw new Error('it has neither create nor onConnect, so it would never be asked')
  }
  return value as BrokerFilter
}

type Raw = Readonly<Record<string, unknown>>

const SETTINGS: readonly string[] = [
  ...['name', 'phase', 'priority', 'match', 'needs', 'failStrategy', 'timeoutMs', 'config'],
]

async function readSettings(file: string): Promise<Raw> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return {}
  if (text.length > MAX_CONFIG_BYTES) throw new Error(`${basename(file)} is longer than 1 MiB`)
  const raw = parseStrictJson(text, { maxDepth: 32 })
  if (!isRecord(raw)) throw new Error(`${basename(file)} must be a JSON object`)
  const unknown = Object.keys(raw).find((key) => !SETTINGS.includes(key))
  if (unknown === undefined) return raw
  throw new Error(`${basename(file)} has '${unknown}', it may have ${SETTINGS.join(', ')}`)
}

/** What the JSON file says goes before what the code says; needs are the code's own. */
function settingsOf(file: string, filter: BrokerFilter, raw: Raw): FilterSettings {
  if (raw.needs !== undefined) throw new Error('needs are said by the code, not by its JSON file')
  const value = (name: keyof BrokerFilter) => raw[name] ?? filter[name]
  const name = value('name') ?? basename(file).replace(/\.[mc]?[jt]s$/, '')
  if (typeof name !== 'string' || !/^[\w.-]{1,64}$/.test(name)) {
    throw new Error(`name must be 1 to 64 letters, digits, '.', '_' and '-', got '${String(name)}'`)
  }
  const phase = oneOf('phase', value('phase') ?? 'route', PHASES)
  const strategy = oneOf('failStrategy', value('failStrategy') ?? 'FAIL_CLOSE', STRATEGIES)
  const needs = listOf('needs', filter.needs ?? [], NEEDS)
  if (needs.length > 0 && filter.create === undefined) throw new Error('needs without create')
  return {
    name,
    phase,
    priority: numberOf('priority', value('priority') ?? 0, -1e9, 1e9),
    match: matchOf(value('match') ?? {}),
    needs: new Set<FilterNeed>(needs),
    failsOpen: phase === 'observe' || strategy === 'FAIL_OPEN',
    timeoutMs: numberOf('timeoutMs', value('timeoutMs') ?? DEFAULT_TIMEOUT_MS, 1, MAX_TIMEOUT_MS),
  }
}

function matchOf(value: unknown): FilterMatch {
  if (!isRecord(value)) throw new Error('match must be an object with services and interactions')
  const unknown = Object.keys(value).find((key) => key !== 'services' && key !== 'interactions')
  if (unknown !== undefined)
    throw new Error(`match may have services and interactions, not '${unknown}'`)
  const { services, interactions } = value
  if (services !== undefined && !isTexts(services)) {
    throw new Error("match.services must be names, exact or with '*' at the end")
  }
  const odd = services?.find((each) => each === '' || each.slice(0, -1).includes('*'))
  if (odd !== undefined)
    throw new Error(`match.services: '*' can only stand at the end, got '${odd}'`)
  return {
    ...(services === undefined ? {} : { services }),
    ...(interactions === undefined
      ? {}
      : { interactions: listOf('match.interactions', interactions, INTERACTIONS) }),
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string')
}

function oneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((each) => each === value)
  if (found !== undefined) return found
  throw new Error(`${name} must be one of ${choices.join(', ')}, got '${String(value)}'`)
}

function listOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T[] {
  if (!isTexts(value)) throw new Error(`${name} must be a list of ${choices.join(', ')}`)
  return value.map((each) => oneOf(name, each, choices))
}

function numberOf(name: string, value: unknown, min: number, max: number): number {
  if (typeof value === 'number' && value >= min && value <= max) return value
  throw new Error(`${name} must be a number from ${min} to ${max}, got '${String(value)}'`)
}

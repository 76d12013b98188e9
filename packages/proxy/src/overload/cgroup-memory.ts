/**
 * How much of the memory that a control group may have is in use (cgroups v1 and v2). What the
 * kernel would rather drop than kill somebody for, files that nobody used lately, does not count.
 */

interface Version {
  readonly root: string
  readonly limit: string
  readonly usage: string
  /** Line of `memory.stat`. */
  readonly reclaimable: string
}

const V2: Version = {
  root: '/sys/fs/cgroup',
  limit: 'memory.max',
  usage: 'memory.current',
  reclaimable: 'inactive_file',
}
const V1: Version = {
  root: '/sys/fs/cgroup/memory',
  limit: 'memory.limit_in_bytes',
  usage: 'memory.usage_in_bytes',
  reclaimable: 'total_inactive_file',
}
/** Kept free below a limit, where the kernel kills: to see it coming and to collect takes memory, too. */
const RESERVE_BYTES = 32 * 1_048_576
const RESERVE_PARTS = 10

/** How much of a limit may be in use. */
export function usableBytes(limitBytes: number): number {
  return limitBytes - Math.min(RESERVE_BYTES, limitBytes / RESERVE_PARTS)
}

/** v1 says "no limit" by a number that no machine has. */
const NO_LIMIT_BYTES = 2 ** 60

/** `undefined` where there is no such file, or it may not be read. */
export type ReadText = (path: string) => string | undefined

export interface MemoryMonitor {
  /** A pressure of 1. */
  readonly usableBytes: number
  /** From 0 to 1, or more; `undefined` while it cannot be told. */
  pressure(): number | undefined
}

interface Group {
  readonly folder: string
  readonly version: Version
}

/**
 * Reads the pressure of the fullest of the groups that this process is in, from 0 to 1.
 *
 * @param maxBytes With a limit of a group, the smaller one counts.
 * @returns `undefined` when no group limits memory.
 */
export function cgroupMemory(
  read: ReadText,
  maxBytes = Number.POSITIVE_INFINITY,
): MemoryMonitor | undefined {
  const groups = groupsOf(read).filter((group) => {
    const limit = read(limitFile(group))
    return limit !== undefined && limitBytes(limit) < NO_LIMIT_BYTES
  })
  if (groups.length === 0) return undefined
  const limits = groups.map((group) => limitBytes(read(limitFile(group)) ?? ''))
  return {
    usableBytes: usableBytes(Math.min(maxBytes, ...limits)),
    pressure() {
      let fullest: number | undefined
      for (const group of groups) {
        const pressure = pressureOf(group, read, maxBytes)
        if (pressure !== undefined) fullest = Math.max(fullest ?? 0, pressure)
      }
      return fullest
    },
  }
}

function limitFile({ folder, version }: Group): string {
  return `${folder}/${version.limit}`
}

/** The process's own group and those above it, as far as they can be seen from here. */
function groupsOf(read: ReadText): Group[] {
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    const version = path === '' ? undefined : versionOf(controllers)
    if (version === undefined) continue
    const parts = path.split('/').filter((part) => part !== '')
    const groups = parts.map((_, i) => groupAt(version, parts.slice(0, i + 1)))
    const all = [groupAt(version, []), ...groups]
    // A container may see its own group as the root, and its path as the host has it.
    const seen = all.filter(({ folder }) => read(`${folder}/${version.usage}`) !== undefined)
    if (seen.length > 0) return seen
  }
  return []
}

function versionOf(controllers: string): Version | undefined {
  if (controllers === '') return V2
  return controllers.split(',').includes('memory') ? V1 : undefined
}

function groupAt(version: Version, parts: readonly string[]): Group {
  return { folder: [version.root, ...parts].join('/'), version }
}

function pressureOf(group: Group, read: ReadText, maxBytes: number): number | undefined {
  const { folder, version } = group
  const limit = limitBytes(read(limitFile(group)) ?? '')
  const usage = Number(read(`${folder}/${version.usage}`))
  const stat = read(`${folder}/memory.stat`) ?? ''
  const line = stat.split('\n').find((one) => one.startsWith(`${version.reclaimable} `))
  const reclaimable = Number(line?.slice(version.reclaimable.length) ?? 0)
  const most = usableBytes(Math.min(limit, maxBytes))
  if (!Number.isFinite(most) || !Number.isFinite(usage) || usage === 0) return undefined
  return Math.max(0, usage - (Number.isFinite(reclaimable) ? reclaimable : 0)) / most
}

function limitBytes(text: string): number {
  return /^\d+\s*$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY
}

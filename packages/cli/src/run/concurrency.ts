/** How many processes carry a proxy's traffic, when nobody says: what the machine gives this one. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { UsageError } from '../command.ts'

const CGROUPS = '/sys/fs/cgroup'

/**
 * @param text As given; `auto` and `0` are as many as there are cores.
 * @throws {UsageError} If it is no such number.
 */
export function parseConcurrency(text: string, cores: () => number = usableCores): number {
  if (text === 'auto' || text === '0') return cores()
  if (/^\d{1,3}$/.test(text)) return Number(text)
  throw new UsageError(`--concurrency must be a number from 0 to 999 or auto, got '${text}'`)
}

/** Cores this process may use: those it is bound to, fewer when its cgroup's quota is less. */
function usableCores(): number {
  return coresOf(availableParallelism(), cpuQuota(readText))
}

/** A quota of two and a half cores feeds three processes better than two. Pure, for the test. */
export function coresOf(cores: number, quota: number | undefined): number {
  return Math.max(1, Math.min(cores, quota === undefined ? cores : Math.ceil(quota)))
}

/** In cores: the tightest of the cgroup this process is in and those above it; v2, then v1. */
export function cpuQuota(read: (path: string) => string | undefined): number | undefined {
  const memberships = (read('/proc/self/cgroup') ?? '').split('\n')
  const own = (controller: string) =>
    memberships
      .map((line) => line.split(':'))
      .find(([, names = '']) => names.split(',').includes(controller))?.[2] ?? '/'
  const quotas = [
    ...foldersUpFrom(own('')).map((folder) => quotaV2(read(`${CGROUPS}${folder}cpu.max`))),
    ...['cpu', 'cpu,cpuacct'].flatMap((mount) =>
      foldersUpFrom(own('cpu')).map((folder) =>
        quotaV1(
          read(`${CGROUPS}/${mount}${folder}cpu.cfs_quota_us`),
          read(`${CGROUPS}/${mount}${folder}cpu.cfs_period_us`),
        ),
      ),
    ),
  ].filter((quota) => quota !== undefined)
  return quotas.length === 0 ? undefined : Math.min(...quotas)
}

/** `/a/b` is `/a/b/`, `/a/`, `/`: inside a container only the last is there. */
function foldersUpFrom(path: string): string[] {
  const names = path.split('/').filter(Boolean)
  const folders = names.map((_, i) => `/${names.slice(0, names.length - i).join('/')}/`)
  return [...folders, '/']
}

/** `max 100000` or `150000 100000`. */
function quotaV2(text: string | undefined): number | undefined {
  const [quota, period] = (text ?? '').trim().split(' ')
  return ratio(quota, period)
}

/** A quota of -1 is none. */
function quotaV1(quota: string | undefined, period: string | undefined): number | undefined {
  return ratio(quota?.trim(), period?.trim())
}

function ratio(quota: string | undefined, period: string | undefined): number | undefined {
  const cores = Number(quota) / Number(period)
  return quota !== undefined && cores > 0 && Number.isFinite(cores) ? cores : undefined
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

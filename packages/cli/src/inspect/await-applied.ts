/**
 * What became of objects that were just applied: whether proxies have them, and why not.
 *
 *     applied ─► published ─► sent ─► taken by each proxy      at most WAIT_MS, then it is said as it is
 */
import type { Clock } from '@weft/base'
import type { ObjectStatus } from '@weft/control'
import type { ObjectName } from '../mesh-api.ts'
import { isWell, type MeshStatus } from './status.ts'

/** A proxy takes a change within a tenth of a second; one that does not is told of, not waited for. */
const WAIT_MS = 2_000
/** Long enough that looking costs nothing beside what is looked for. */
export const LOOK_EVERY_MS = 40

export interface Applied {
  /** Of what was applied, as far as the caller may see it. */
  readonly statuses: readonly ObjectStatus[]
  /** The most proxies that any of them is for. */
  readonly proxies: number
  /** Not every proxy has answered yet. */
  readonly isUnderWay: boolean
}

/**
 * @param status Asks the control plane; what it throws ends the waiting.
 * @param pause Until the next look, with a timer that keeps the process alive: nothing else does.
 */
export async function awaitApplied(
  objects: readonly ObjectName[],
  status: () => Promise<Pick<MeshStatus, 'objects'>>,
  { clock, pause }: { readonly clock: Clock; pause(): Promise<void> },
): Promise<Applied> {
  const wanted = new Set(objects.map(keyOf))
  const untilMs = clock.monotonicMs() + WAIT_MS
  for (;;) {
    const statuses = (await status()).objects.filter((one) => wanted.has(keyOf(one)))
    const isUnderWay = !statuses.every(isAnswered)
    if (!isUnderWay || clock.monotonicMs() >= untilMs) {
      const proxies = Math.max(0, ...statuses.map(({ applied }) => applied?.proxies ?? 0))
      return { statuses, proxies, isUnderWay }
    }
    await pause()
  }
}

/** For people; nothing when no proxy is concerned and all is well. */
export function renderApplied({ statuses, proxies, isUnderWay }: Applied, weft: string): string {
  const sick = statuses.filter((one) => !isWell(one))
  const lines = sick.map(
    ({ kind, namespace, name, summary }) => `${kind} ${namespace}/${name}: ${summary}\n`,
  )
  if (isUnderWay) lines.push(`Not every proxy has answered yet: ${weft} status\n`)
  else if (sick.length === 0 && proxies > 0) {
    lines.push(`In force at ${proxies} ${proxies === 1 ? 'proxy' : 'proxies'}.\n`)
  }
  return lines.join('')
}

function isAnswered({ applied }: ObjectStatus): boolean {
  return applied === undefined || applied.acknowledged + applied.rejected.length >= applied.proxies
}

function keyOf({ kind, namespace, name }: ObjectName): string {
  return `${kind}/${namespace}/${name}`
}

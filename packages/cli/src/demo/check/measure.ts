/**
 * How long a change took until the traffic showed it: probes at a fixed pace,
 * none waiting for another, from the moment of the change on. Pure but for the
 * clock it is given.
 */
import { type Clock, sleep } from '@weft/base'

export interface Observation {
  readonly startedAtMs: number
  /** As the change wants it. */
  readonly isRight: boolean
  /** What was seen, for people. */
  readonly seen: string
}

export interface ChangeWatch {
  /** Between two probes, in milliseconds. */
  readonly paceMs: number
  /** How long probes are started, in milliseconds from the change on. */
  readonly windowMs: number
}

export interface Effect {
  /** From the change to the first probe after which none was wrong; `undefined`: it never held. */
  readonly tookMs: number | undefined
  /** Of the last wrong probe, else of the last one. */
  readonly seen: string
  /** Probes since it holds. */
  readonly held: number
}

export async function watchChange(
  change: () => Promise<void>,
  probe: () => Promise<Observation>,
  { paceMs, windowMs }: ChangeWatch,
  clock: Clock,
): Promise<Effect> {
  // From the moment somebody asks for the change: what writing it takes counts too.
  const changedAtMs = clock.monotonicMs()
  await change()
  const probes: Promise<Observation>[] = []
  const startedAtMs = clock.monotonicMs()
  while (clock.monotonicMs() - startedAtMs < windowMs) {
    probes.push(probe())
    await sleep(clock, paceMs)
  }
  return effectOf(await Promise.all(probes), changedAtMs)
}

/** @param observations In the order in which they were started. */
export function effectOf(observations: readonly Observation[], changedAtMs: number): Effect {
  const lastWrong = observations.findLastIndex(({ isRight }) => !isRight)
  const held = observations.length - 1 - lastWrong
  const first = observations[lastWrong + 1]
  const shown = held === 0 ? observations[lastWrong] : observations.at(-1)
  return {
    tookMs: first === undefined ? undefined : Math.max(0, first.startedAtMs - changedAtMs),
    seen: shown?.seen ?? 'nothing',
    held,
  }
}

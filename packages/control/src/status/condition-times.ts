/**
 * `lastTransitionTime` of conditions: since when each has had its status. A change of
 * reason or message alone moves no time, as in Kubernetes. Seen when somebody looks.
 */
import type { Clock } from '@weft/base'
import type { ObjectStatus } from './object-status.ts'

interface Seen {
  readonly status: unknown
  readonly time: string
}

type Fields = Readonly<Record<string, unknown>>

export class ConditionTimes {
  readonly #clock: Pick<Clock, 'nowMs'>
  #seen: ReadonlyMap<string, Seen> = new Map()

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock
  }

  /** All statuses of now: those that are not among them are forgotten. */
  stamp(statuses: readonly ObjectStatus[]): readonly ObjectStatus[] {
    const seen = new Map<string, Seen>()
    // Kubernetes keeps whole seconds.
    const now = new Date(this.#clock.nowMs()).toISOString().replace(/\.\d+Z$/, 'Z')
    const timeOf = (key: string, status: unknown) => {
      const before = this.#seen.get(key)
      const isSame = before !== undefined && before.status === status
      const own: Seen = isSame ? before : { status, time: now }
      seen.set(key, own)
      return own.time
    }
    const stamped = statuses.map((one) => {
      if (one.status === undefined) return one
      const key = [one.apiVersion, one.kind, one.namespace, one.name].join(' ')
      return { ...one, status: stampFields(one.status, key, timeOf) }
    })
    this.#seen = seen
    return stamped
  }
}

type TimeOf = (key: string, status: unknown) => string

function stampFields(value: Fields, key: string, timeOf: TimeOf): Fields {
  const entries = Object.entries(value).map(([name, one]): [string, unknown] => {
    if (!Array.isArray(one)) return [name, one]
    if (name !== 'conditions') {
      return [name, one.map((item, i) => stampPart(item, `${key} ${name}`, i, timeOf))]
    }
    const conditions = one as readonly Fields[]
    return [
      name,
      conditions.map((condition) => ({
        ...condition,
        lastTransitionTime: timeOf(`${key} ${String(condition.type)}`, condition.status),
      })),
    ]
  })
  return Object.fromEntries(entries)
}

/** Listeners by name, parents and ancestors by what they refer to: their order may change. */
function stampPart(item: unknown, key: string, index: number, timeOf: TimeOf): unknown {
  if (typeof item !== 'object' || item === null) return item
  const part = item as Fields
  const id = part.name ?? part.parentRef ?? part.ancestorRef ?? index
  return stampFields(part, `${key} ${JSON.stringify(id)}`, timeOf)
}

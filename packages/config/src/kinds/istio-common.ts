/** Pieces that several Istio kinds share. */

import { list, map, number, object, type Schema, string, withRules } from '../schema/schema.ts'

/** A length of time such as `1.5s`; what bounds it is the field's matter. */
export function duration(): Schema<string> {
  return string({ format: 'duration' })
}

/** Durations for which Istio's CRDs ask for at least a millisecond. */
export function positiveDuration(): Schema<string> {
  return withRules(duration(), {
    cel: "duration(self) >= duration('1ms')",
    message: 'must be a valid duration greater than 1ms',
  })
}

export function labels(): Schema<Readonly<Record<string, string>>> {
  return map(string())
}

const percentSchema = object({ value: number() })

/** `{ value: 12.5 }` of a hundred. */
export function percent(): typeof percentSchema {
  return percentSchema
}

export const stringList = list(string())

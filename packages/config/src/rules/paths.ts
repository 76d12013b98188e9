/**
 * `weft.io/paths` on a Service or DestinationRule: by which way workloads of the service are
 * called that can be called by several. Left of a comma is preferred; what is not named is not used.
 *
 *     direct, broker   (without the annotation)    broker, direct    direct    broker    any
 */
import { childPath } from '../text/places.ts'
import type { Findings } from './rules.ts'

export const PATHS_ANNOTATION = 'weft.io/paths'

const PATHS = ['direct', 'broker'] as const
type Path = (typeof PATHS)[number]

/** In order of preference; `any`: all alike. */
export type PathOrder = readonly Path[] | 'any'

/** Undefined: the annotation is not there, or says nothing that could be used. */
export function readPaths(annotations: Readonly<Record<string, string>>): PathOrder | undefined {
  const text = annotations[PATHS_ANNOTATION]
  if (text === undefined) return undefined
  if (text.trim() === 'any') return 'any'
  const order: Path[] = []
  for (const word of text.split(',')) {
    const path = PATHS.find((each) => each === word.trim())
    if (path === undefined || order.includes(path)) return undefined
    order.push(path)
  }
  return order
}

export function checkPathsAnnotation(
  annotations: Readonly<Record<string, string>>,
  findings: Findings,
): void {
  const text = annotations[PATHS_ANNOTATION]
  if (text === undefined || readPaths(annotations) !== undefined) return
  const at = childPath('metadata.annotations', PATHS_ANNOTATION)
  const message = `must be direct and broker in the order to be tried, or any, got "${text}"`
  findings.error(at, 'not-allowed', message)
}

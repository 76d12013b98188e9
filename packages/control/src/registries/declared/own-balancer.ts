/**
 * `weft.io/load-balancer` on a Service or DestinationRule: balancers that are not in
 * the enums of other people's kinds. What the rule itself hashes by goes before it.
 */
import { LOAD_BALANCER_ANNOTATION } from '@weft/config'

export type OwnBalancer = 'PEAK_EWMA'

export function readOwnBalancer(
  annotations: Readonly<Record<string, string>>,
): OwnBalancer | undefined {
  return annotations[LOAD_BALANCER_ANNOTATION] === 'PEAK_EWMA' ? 'PEAK_EWMA' : undefined
}

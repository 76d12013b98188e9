/** `OverlappingTLSConfig`: TLS listeners of one port that are for some of the same host names. */
import type { Condition } from '../../status/object-status.ts'
import { intersectHosts } from '../hosts.ts'
import type { JudgedListener } from './listeners.ts'

/** Clients that reuse connections may then send requests to the listener of another host name. */
export function withTlsOverlap(
  own: JudgedListener,
  _index: number,
  all: readonly JudgedListener[],
): JudgedListener {
  if (!terminates(own)) return own
  const isOverlapped = all.some(
    (other) =>
      other !== own &&
      terminates(other) &&
      other.spec.port === own.spec.port &&
      intersectHosts(hostOf(own), hostOf(other)) !== undefined,
  )
  return isOverlapped
    ? {
        ...own,
        conditions: [...own.conditions, { ...OVERLAP, where: `listener ${own.spec.name}` }],
      }
    : own
}

const OVERLAP: Condition = {
  type: 'OverlappingTLSConfig',
  status: true,
  reason: 'OverlappingHostnames',
  message:
    'another TLS listener of the port has host names in common; misdirected requests are answered with 421',
}

function terminates({ isServed, tls }: JudgedListener): boolean {
  return isServed && tls !== undefined
}

function hostOf({ spec }: JudgedListener): string {
  return spec.hostname === undefined || spec.hostname === '' ? '*' : spec.hostname.toLowerCase()
}

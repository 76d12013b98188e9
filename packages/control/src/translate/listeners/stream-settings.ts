/** What the DestinationRule of where bytes go says of a gateway's connections to it. */
import type { TcpProxy } from '@weft/model'
import { policyFor } from '../clusters/applied-rule.ts'
import { tcpSettings } from '../features/connection-pool.ts'
import type { ProxyScope } from '../scope.ts'

/** Of several targets the first decides, as in Istio. */
export function settingsOfTargets(
  scope: ProxyScope,
  [{ cluster }]: TcpProxy['targets'],
): Partial<TcpProxy> {
  const [, port, subset = '', host = ''] = cluster.split('|')
  const service = scope.services.get(host)
  if (service === undefined) return {}
  const rule = scope.ruleFor(service)
  const policy = policyFor(rule, Number(port), subset === '' ? undefined : subset)
  const hashSourceIp = policy.loadBalancer?.consistentHash?.useSourceIp === true
  return { ...tcpSettings(policy.connectionPool), ...(hashSourceIp ? { hashSourceIp } : {}) }
}

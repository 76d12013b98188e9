/** The attributes that conditions of an AuthorizationPolicy may ask for, and what values they have. */

import { isIpOrCidr } from './addresses.ts'

const PLAIN = [
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
  'destination.ip',
  'destination.port',
  'connection.sni',
]
const WITH_NAME = ['request.headers', 'request.auth.claims', 'experimental.envoy.filters.']
const REPLACED: Readonly<Record<string, string>> = {
  'destination.namespace': 'is replaced by the namespace of the policy',
  'destination.labels': 'is replaced by the selector of the policy',
  'destination.name': 'is of v1alpha1 only',
  'destination.user': 'is of v1alpha1 only',
}

/** What is wrong with a key; `undefined` when nothing is. */
export function conditionProblem(key: string): string | undefined {
  if (PLAIN.includes(key)) return undefined
  for (const [name, reason] of Object.entries(REPLACED)) {
    if (key === name || key.startsWith(`${name}[`)) return `"${key}" ${reason}`
  }
  const prefix = WITH_NAME.find((one) => key.startsWith(one))
  if (prefix === undefined) return `"${key}" is not an attribute that can be asked for`
  const form = prefix === 'request.auth.claims' ? /^[^[\]]*(\[[^[\]]+\])+$/ : /^[^[\]]*\[[^[\]]+\]$/
  const rest = key.slice(prefix.length)
  const isExact = prefix.endsWith('.') || rest.startsWith('[')
  if (isExact && form.test(rest)) return undefined
  return `must have the form ${prefix.endsWith('.') ? `${prefix}<filter>` : prefix}[<name>], got "${key}"`
}

export function conditionValueProblem(key: string, value: string): string | undefined {
  switch (key) {
    case 'source.ip':
    case 'remote.ip':
    case 'destination.ip':
      return isIpOrCidr(value) ? undefined : `must be an IP address or range, got "${value}"`
    case 'destination.port':
      return /^\d{1,5}$/.test(value) && Number(value) <= 65_535
        ? undefined
        : `must be a port between 0 and 65535, got "${value}"`
    case 'source.serviceAccount':
      return /^[^/*]+(\/[^/*]+)?$/.test(value)
        ? undefined
        : `must be <name> or <namespace>/<name>, got "${value}"`
    default:
      return undefined
  }
}

/** Names of Istio gateways as routes refer to them. */

import { itemPath } from '../text/places.ts'
import { fqdnProblem, isDnsLabel } from './names.ts'
import type { Findings } from './rules.ts'

/** `name`, `namespace/name`, or the old `name.namespace.svc.cluster.local`. */
export function checkGatewayNames(
  names: readonly string[] | undefined,
  path: string,
  findings: Findings,
): void {
  for (const [index, name] of (names ?? []).entries()) {
    checkGatewayName(name, itemPath(path, index), findings)
  }
}

function checkGatewayName(name: string, path: string, findings: Findings): void {
  const slash = name.indexOf('/')
  if (slash === -1) {
    const problem = fqdnProblem(name)
    if (problem !== undefined) findings.error(path, 'bad-gateway-name', problem)
    else if (name.includes('.')) {
      const [gateway, namespace] = name.split('.')
      const message = `old form of a gateway's name; write "${namespace}/${gateway}"`
      findings.warning(path, 'deprecated', message)
    }
    return
  }
  for (const [what, part] of [
    ['namespace', name.slice(0, slash)],
    ['name', name.slice(slash + 1)],
  ] as const) {
    if (isDnsLabel(part)) continue
    const message = `"${name}" must be namespace/name; its ${what} "${part}" is not a valid name`
    findings.error(path, 'bad-gateway-name', message)
  }
}

/** What Gateway API's CRDs leave to implementations to refuse: addresses and regular expressions. */

import type { KubernetesGateway } from '../kinds/gateway-api.ts'
import type { HttpRoute, HttpRouteMatch } from '../kinds/http-route.ts'
import { itemPath } from '../text/places.ts'
import { ipFamily } from './addresses.ts'
import { regexProblem } from './regex.ts'
import type { Findings, RuledObject } from './rules.ts'

export function checkKubernetesGateway(object: RuledObject, findings: Findings): void {
  const { addresses = [] } = object.spec as KubernetesGateway
  for (const [index, { type, value }] of addresses.entries()) {
    if (type !== 'IPAddress' || value === undefined || ipFamily(value) !== undefined) continue
    const message = `must be an IP address for type IPAddress, got "${value}"`
    findings.error(`${itemPath('spec.addresses', index)}.value`, 'bad-address', message)
  }
}

export function checkKubernetesHttpRoute(object: RuledObject, findings: Findings): void {
  const { rules } = object.spec as HttpRoute
  for (const [index, rule] of rules.entries()) {
    const at = itemPath('spec.rules', index)
    for (const [matchIndex, match] of rule.matches.entries()) {
      checkExpressions(match, itemPath(`${at}.matches`, matchIndex), findings)
    }
    const { backendRefs = [] } = rule
    if (backendRefs.length > 0 && backendRefs.every(({ weight }) => weight === 0)) {
      const message = 'all weights are 0, so every request of this rule is answered with 500'
      findings.warning(`${at}.backendRefs`, 'bad-weights', message)
    }
  }
}

function checkExpressions(match: HttpRouteMatch, path: string, findings: Findings): void {
  const { headers = [], queryParams = [] } = match
  const values = [
    { at: `${path}.path`, condition: match.path },
    ...headers.map((condition, index) => ({ at: itemPath(`${path}.headers`, index), condition })),
    ...queryParams.map((condition, index) => ({
      at: itemPath(`${path}.queryParams`, index),
      condition,
    })),
  ]
  for (const { at, condition } of values) {
    if (condition.type !== 'RegularExpression') continue
    const problem = regexProblem(condition.value)
    if (problem !== undefined) findings.error(`${at}.value`, 'bad-regex', problem)
  }
}

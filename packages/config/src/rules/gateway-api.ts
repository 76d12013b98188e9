/** What Gateway API's CRDs leave to implementations to refuse: addresses and regular expressions. */

import type { KubernetesGateway } from '../kinds/gateway-api.ts'
import type { GrpcRoute } from '../kinds/grpc-route.ts'
import type { HttpRoute, HttpRouteMatch } from '../kinds/http-route.ts'
import type { TcpRoute } from '../kinds/stream-routes.ts'
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
    checkWeights(rule.backendRefs, at, 'every request of this rule is answered with 500', findings)
  }
}

export function checkGrpcRoute(object: RuledObject, findings: Findings): void {
  const { rules = [] } = object.spec as GrpcRoute
  if (rules.reduce((sum, { matches = [] }) => sum + matches.length, 0) > 128) {
    findings.error('spec.rules', 'crd-rule', 'all rules together may have at most 128 matches')
  }
  for (const [index, rule] of rules.entries()) {
    const at = itemPath('spec.rules', index)
    for (const [matchIndex, { method, headers = [] }] of (rule.matches ?? []).entries()) {
      const path = itemPath(`${at}.matches`, matchIndex)
      if (method?.type === 'RegularExpression') {
        checkRegex(method.service ?? '.*', `${path}.method.service`, findings)
        checkRegex(method.method ?? '.*', `${path}.method.method`, findings)
      }
      for (const [i, { type, value }] of headers.entries()) {
        if (type !== 'RegularExpression') continue
        checkRegex(value, `${itemPath(`${path}.headers`, i)}.value`, findings)
      }
    }
    checkWeights(rule.backendRefs, at, 'every call of this rule fails as UNAVAILABLE', findings)
  }
}

/** Of TLSRoute and TCPRoute. */
export function checkStreamRoute(object: RuledObject, findings: Findings): void {
  const { rules } = object.spec as TcpRoute
  for (const [index, rule] of rules.entries()) {
    const at = itemPath('spec.rules', index)
    checkWeights(rule.backendRefs, at, 'every connection is closed', findings)
  }
}

function checkWeights(
  refs: readonly { readonly weight: number }[] = [],
  at: string,
  consequence: string,
  findings: Findings,
): void {
  if (refs.length === 0 || refs.some(({ weight }) => weight > 0)) return
  findings.warning(`${at}.backendRefs`, 'bad-weights', `all weights are 0, so ${consequence}`)
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
    checkRegex(condition.value, `${at}.value`, findings)
  }
}

function checkRegex(text: string, path: string, findings: Findings): void {
  const problem = regexProblem(text)
  if (problem !== undefined) findings.error(path, 'bad-regex', problem)
}

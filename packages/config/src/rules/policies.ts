/** What RateLimits and TrafficPolicies must satisfy beyond their schemas. */

import { logOperatorsProblem } from '@weft/model'
import type { PolicyTarget } from '../kinds/policy-target.ts'
import type { RateLimit, RequestLimit } from '../kinds/rate-limit.ts'
import type { TrafficPolicySpec } from '../kinds/traffic-policy.ts'
import { childPath, itemPath } from '../text/places.ts'
import { isHeaderName } from './headers.ts'
import { checkSelectorLabels } from './istio-common.ts'
import { regexProblem } from './regex.ts'
import type { Findings, RuledObject } from './rules.ts'

const GROUPS: Readonly<Record<PolicyTarget['kind'], readonly string[]>> = {
  Service: ['', 'core'],
  HTTPRoute: ['gateway.networking.k8s.io'],
  GRPCRoute: ['gateway.networking.k8s.io'],
  VirtualService: ['networking.istio.io'],
  Gateway: ['gateway.networking.k8s.io', 'networking.istio.io'],
}

export function checkRateLimit({ spec: raw }: RuledObject, findings: Findings): void {
  const spec = raw as RateLimit
  checkTarget(spec, findings)
  let catchAll: number | undefined
  for (const [index, limit] of spec.limits.entries()) {
    const at = itemPath('spec.limits', index)
    if (catchAll !== undefined) {
      const message = `limits[${catchAll}] counts every request before it; the first limit that fits decides`
      findings.warning(at, 'no-effect', message)
    } else if (limit.by === undefined && limit.match === undefined) catchAll = index
    checkLimit(limit, at, findings)
  }
}

function checkLimit(limit: RequestLimit, path: string, findings: Findings): void {
  checkCounted(limit, path, findings)
  const { match } = limit
  checkMatch(match?.path, `${path}.match.path`, findings)
  for (const [name, one] of Object.entries(match?.headers ?? {})) {
    const at = childPath(`${path}.match.headers`, name)
    if (!isHeaderName(name)) findings.error(at, 'bad-header', `"${name}" is not a header name`)
    checkMatch(one, at, findings)
  }
  for (const [index, method] of (match?.methods ?? []).entries()) {
    if (isHeaderName(method)) continue
    const at = itemPath(`${path}.match.methods`, index)
    findings.error(at, 'bad-format', `"${method}" is not a method`)
  }
}

function checkCounted(limit: RequestLimit, path: string, findings: Findings): void {
  for (const [index, { type, name, v4Bits, v6Bits }] of (limit.by ?? []).entries()) {
    const at = itemPath(`${path}.by`, index)
    const isNamed = type === 'Header' || type === 'Query'
    if (isNamed && name === undefined) {
      findings.error(`${at}.name`, 'missing-field', `is required for type ${type}`)
    } else if (!isNamed && name !== undefined) {
      const message = `belongs to types Header and Query, not to ${type}; remove it`
      findings.error(`${at}.name`, 'conflicting-fields', message)
    } else if (type === 'Header' && name !== undefined && !isHeaderName(name)) {
      findings.error(`${at}.name`, 'bad-header', `"${name}" is not a header name`)
    }
    for (const [field, bits] of Object.entries({ v4Bits, v6Bits })) {
      if (bits === undefined || type === 'SourceIp') continue
      const message = `belongs to type SourceIp, not to ${type}; remove it`
      findings.error(`${at}.${field}`, 'conflicting-fields', message)
    }
  }
}

function checkMatch(
  match: { readonly regex?: string } | undefined,
  path: string,
  findings: Findings,
): void {
  if (match?.regex === undefined) return
  const problem = regexProblem(match.regex)
  if (problem !== undefined) findings.error(`${path}.regex`, 'bad-regex', problem)
}

function checkLogFormat(
  format: NonNullable<TrafficPolicySpec['accessLog']>['format'],
  findings: Findings,
): void {
  const { text, json } = format ?? {}
  const problems = [
    ['text', text === undefined ? undefined : ({ kind: 'text', template: text } as const)],
    ['json', json === undefined ? undefined : ({ kind: 'json', fields: json } as const)],
  ] as const
  for (const [name, written] of problems) {
    const problem = written === undefined ? undefined : logOperatorsProblem(written)
    if (problem !== undefined) {
      findings.error(`spec.accessLog.format.${name}`, 'bad-format', problem)
    }
  }
}

export function checkTrafficPolicy({ spec: raw }: RuledObject, findings: Findings): void {
  const spec = raw as TrafficPolicySpec
  checkTarget(spec, findings)
  const { targetRefs: _refs, selector: _selector, ...settings } = spec
  if (Object.keys(settings).length === 0) {
    findings.error('spec', 'missing-field', 'must set something besides its target')
  }
  const { serverHeader, sessionPersistence, adaptiveConcurrency, hedging } = spec
  if (serverHeader !== undefined) {
    const needsValue = serverHeader.action !== 'Remove'
    if (needsValue && serverHeader.value === undefined) {
      const message = `is required for action ${serverHeader.action}`
      findings.error('spec.serverHeader.value', 'missing-field', message)
    } else if (!needsValue && serverHeader.value !== undefined) {
      const message = 'has no meaning for action Remove; remove it'
      findings.error('spec.serverHeader.value', 'conflicting-fields', message)
    }
  }
  checkLogFormat(spec.accessLog?.format, findings)
  if (sessionPersistence !== undefined && Object.keys(sessionPersistence).length === 0) {
    findings.error('spec.sessionPersistence', 'missing-field', 'must have cookie or header')
  }
  const header = sessionPersistence?.header?.name
  if (header !== undefined && !isHeaderName(header)) {
    findings.error(
      'spec.sessionPersistence.header.name',
      'bad-header',
      `"${header}" is not a header name`,
    )
  }
  if (
    adaptiveConcurrency !== undefined &&
    adaptiveConcurrency.minConcurrency > adaptiveConcurrency.maxConcurrency
  ) {
    const message = `must be at most maxConcurrency, ${adaptiveConcurrency.maxConcurrency}`
    findings.error('spec.adaptiveConcurrency.minConcurrency', 'out-of-range', message)
  }
  if (hedging?.after !== undefined && hedging.afterPercentile !== undefined) {
    const message = 'holds until the percentile is known; afterPercentile holds from then on'
    findings.warning('spec.hedging.after', 'no-effect', message)
  }
  checkProxyProtocol(spec, findings)
  checkHealthChecks(spec, findings)
  for (const [index, origin] of (spec.csrf?.additionalOrigins ?? []).entries()) {
    checkMatch(origin, itemPath('spec.csrf.additionalOrigins', index), findings)
  }
}

function checkProxyProtocol(
  { proxyProtocol, targetRefs }: TrafficPolicySpec,
  findings: Findings,
): void {
  if (proxyProtocol === undefined) return
  const { mode, passThroughTlvs, addedTlvs } = proxyProtocol
  const at = 'spec.proxyProtocol'
  const isFor = (wanted: string) => targetRefs.some(({ kind }) => kind === wanted)
  if (mode === undefined && isFor('Gateway')) {
    findings.error(`${at}.mode`, 'missing-field', 'must be Required or Optional for a Gateway')
  }
  const unheard = (field: string, kind: string) => {
    const message = `is for policies whose target is a ${kind}`
    findings.warning(field, 'no-effect', message)
  }
  if (mode !== undefined && !isFor('Gateway')) unheard(`${at}.mode`, 'Gateway')
  if (addedTlvs !== undefined && !isFor('Service')) unheard(`${at}.addedTlvs`, 'Service')
  if (passThroughTlvs?.types !== undefined && passThroughTlvs.match === 'All') {
    const message = 'has no meaning with match All; set match to Listed'
    findings.error(`${at}.passThroughTlvs.types`, 'conflicting-fields', message)
  }
}

function checkHealthChecks(spec: TrafficPolicySpec, findings: Findings): void {
  for (const [index, check] of (spec.healthChecks ?? []).entries()) {
    const at = itemPath('spec.healthChecks', index)
    if (check.http === undefined && check.grpc === undefined && check.tcp === undefined) {
      findings.error(at, 'missing-field', 'must have http, grpc or tcp')
    }
    for (const [position, { from, to }] of (check.http?.statuses ?? []).entries()) {
      if (from <= to) continue
      const message = `must not be below from, ${from}`
      findings.error(`${itemPath(`${at}.http.statuses`, position)}.to`, 'out-of-range', message)
    }
  }
}

type Targeted = Pick<RateLimit, 'selector' | 'targetRefs'>

function checkTarget({ targetRefs, selector }: Targeted, findings: Findings): void {
  if (targetRefs.length === 0 && selector === undefined) {
    findings.error('spec.targetRefs', 'missing-field', 'is required, or a selector in its place')
  }
  if (targetRefs.length > 0 && selector !== undefined) {
    const message = 'cannot be combined with targetRefs; write two policies'
    findings.error('spec.selector', 'conflicting-fields', message)
  }
  if (selector !== undefined) {
    checkSelectorLabels(selector.matchLabels, 'spec.selector.matchLabels', findings)
  }
  const seen = new Set<string>()
  for (const [index, { group, kind, name, sectionName = '' }] of targetRefs.entries()) {
    const at = itemPath('spec.targetRefs', index)
    const groups = GROUPS[kind] ?? []
    if (group !== undefined && groups.length > 0 && !groups.includes(group)) {
      const known = groups.map((one) => `"${one}"`).join(' or ')
      findings.error(`${at}.group`, 'not-allowed', `must be ${known} for kind ${kind}`)
    }
    const key = `${group} ${kind} ${name} ${sectionName}`
    if (seen.has(key)) findings.error(at, 'duplicate', `${kind} ${name} is a target already`)
    seen.add(key)
  }
}

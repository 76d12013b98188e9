/**
 * What an AuthorizationPolicy must satisfy beyond its schema: the rules of Istio's admission, and
 * no value that could never match.
 */

import type {
  AuthorizationOperation,
  AuthorizationPolicy,
  AuthorizationRule,
  AuthorizationSource,
} from '../kinds/authorization-policy.ts'
import { itemPath } from '../text/places.ts'
import { isIpOrCidr } from './addresses.ts'
import { conditionProblem, conditionValueProblem } from './authorization-keys.ts'
import type { Findings, RuledObject } from './rules.ts'
import { checkSecurityTarget } from './security-target.ts'

export function checkAuthorizationPolicy(
  { spec: raw, metadata }: RuledObject,
  findings: Findings,
): void {
  const spec = raw as AuthorizationPolicy
  checkSecurityTarget(spec, findings)
  checkDryRun(metadata.annotations, spec.action, findings)
  checkAction(spec, findings)
  for (const [index, rule] of (spec.rules ?? []).entries()) {
    const at = itemPath('spec.rules', index)
    checkRule(rule, at, findings)
    if (spec.action === 'CUSTOM') checkCustom(rule, at, findings)
    if (spec.action === 'DENY') warnOfTcp(rule, at, findings)
  }
}

const DRY_RUN = 'istio.io/dry-run'

function checkDryRun(
  annotations: Readonly<Record<string, string>>,
  action: AuthorizationPolicy['action'],
  findings: Findings,
): void {
  const value = annotations[DRY_RUN]
  if (value === undefined) return
  const at = `metadata.annotations["${DRY_RUN}"]`
  if (!['true', 'false'].includes(value)) {
    const message = `must be "true" or "false", got "${value}"; the policy is enforced`
    findings.warning(at, 'bad-annotation', message)
  } else if (value === 'true' && action === 'AUDIT') {
    findings.warning(at, 'no-effect', 'an AUDIT policy enforces nothing anyway')
  }
}

function checkAction({ action, provider, rules }: AuthorizationPolicy, findings: Findings): void {
  const everything = 'write an empty rule, {}, if every request is meant'
  if (action === 'DENY' && rules === undefined) {
    const message = `a DENY policy without rules never denies; ${everything}`
    findings.error('spec.rules', 'missing-field', message)
  }
  if (action === 'CUSTOM' && rules === undefined) {
    const message = `a CUSTOM policy without rules never asks its provider; ${everything}`
    findings.error('spec.rules', 'missing-field', message)
  }
  if (action === 'AUDIT' && rules === undefined) {
    findings.warning('spec.rules', 'no-effect', `without rules nothing is audited; ${everything}`)
  }
  if (action === 'CUSTOM' && rules !== undefined && (provider?.name ?? '') === '') {
    findings.error('spec.provider.name', 'missing-field', 'is required for action CUSTOM')
  }
  if (action !== 'CUSTOM' && provider !== undefined) {
    const message = `belongs to action CUSTOM, not to ${action}; remove it`
    findings.error('spec.provider', 'conflicting-fields', message)
  }
  if (action === 'ALLOW' && rules === undefined) {
    const message = 'a policy without rules allows nothing: every request to its target is denied'
    findings.warning('spec', 'denies-all', message)
  }
}

function checkRule({ from, to, when }: AuthorizationRule, path: string, findings: Findings): void {
  if (from !== undefined) checkNotEmpty(from, `${path}.from`, findings)
  for (const [index, { source }] of (from ?? []).entries()) {
    const at = `${itemPath(`${path}.from`, index)}.source`
    if (isEmpty(source)) findings.error(at, 'missing-field', 'must have at least one field')
    else checkSource(source, at, findings)
  }
  if (to !== undefined) checkNotEmpty(to, `${path}.to`, findings)
  for (const [index, { operation }] of (to ?? []).entries()) {
    const at = `${itemPath(`${path}.to`, index)}.operation`
    if (isEmpty(operation)) findings.error(at, 'missing-field', 'must have at least one field')
    else checkOperation(operation, at, findings)
  }
  checkConditions(when ?? [], `${path}.when`, findings)
}

function checkConditions(
  when: NonNullable<AuthorizationRule['when']>,
  path: string,
  findings: Findings,
): void {
  for (const [index, { key, values = [], notValues = [] }] of when.entries()) {
    const at = itemPath(path, index)
    const problem = conditionProblem(key)
    if (problem !== undefined) findings.error(`${at}.key`, 'not-allowed', problem)
    if (values.length === 0 && notValues.length === 0) {
      findings.error(at, 'missing-field', 'must have values or notValues')
    }
    for (const [field, list] of Object.entries({ values, notValues })) {
      eachValue(list, `${at}.${field}`, findings, (value) => conditionValueProblem(key, value))
    }
  }
}

function checkNotEmpty(list: readonly unknown[], path: string, findings: Findings): void {
  if (list.length > 0) return
  findings.error(path, 'missing-field', 'must not be empty; remove it if anything is meant')
}

function isEmpty(fields: AuthorizationSource | AuthorizationOperation | undefined): boolean {
  const lists = Object.values(fields ?? {}) as readonly (readonly string[])[]
  return lists.every((list) => list.length === 0)
}

type Judge = (value: string) => string | undefined

function eachValue(
  values: readonly string[],
  path: string,
  findings: Findings,
  judge: Judge = () => undefined,
): void {
  for (const [index, value] of values.entries()) {
    const problem = value === '' ? 'must not be empty' : judge(value)
    if (problem !== undefined) findings.error(itemPath(path, index), 'bad-format', problem)
  }
}

const addressProblem: Judge = (value) =>
  isIpOrCidr(value) ? undefined : `must be an IP address or range, got "${value}"`

const accountProblem: Judge = (value) =>
  /^[^/*]+(\/[^/*]+)?$/.test(value)
    ? undefined
    : `must be <name> or <namespace>/<name>, without wildcards, got "${value}"`

/** A star in the middle is taken literally, which nobody means. */
const starProblem: Judge = (value) =>
  value.slice(1, -1).includes('*') || (value.length > 1 && /^\*.*\*$/s.test(value))
    ? `may have a star at its beginning or at its end only, got "${value}"`
    : undefined

const SOURCE: Readonly<Record<keyof AuthorizationSource, Judge>> = {
  principals: starProblem,
  notPrincipals: starProblem,
  requestPrincipals: starProblem,
  notRequestPrincipals: starProblem,
  namespaces: () => undefined,
  notNamespaces: () => undefined,
  serviceAccounts: accountProblem,
  notServiceAccounts: accountProblem,
  trustDomains: starProblem,
  notTrustDomains: starProblem,
  ipBlocks: addressProblem,
  notIpBlocks: addressProblem,
  remoteIpBlocks: addressProblem,
  notRemoteIpBlocks: addressProblem,
}

function checkSource(source: AuthorizationSource | undefined, path: string, findings: Findings) {
  for (const [field, values] of Object.entries(source ?? {})) {
    // Odd, but Istio takes it: it is told, not refused.
    const judge = SOURCE[field as keyof AuthorizationSource]
    const isOdd = judge === starProblem
    eachValue(values, `${path}.${field}`, findings, isOdd ? undefined : judge)
    if (isOdd) warnOfStars(values, `${path}.${field}`, findings)
    if (field === 'principals' || field === 'notPrincipals') {
      warnOfSchemes(values, `${path}.${field}`, findings)
    }
  }
}

function warnOfSchemes(values: readonly string[], path: string, findings: Findings): void {
  for (const [index, value] of values.entries()) {
    if (!value.startsWith('spiffe://')) continue
    const message = `principals are written without "spiffe://", so "${value}" matches nobody`
    findings.warning(itemPath(path, index), 'no-effect', message)
  }
}

function warnOfStars(values: readonly string[], path: string, findings: Findings): void {
  for (const [index, value] of values.entries()) {
    const problem = starProblem(value)
    if (problem !== undefined) findings.warning(itemPath(path, index), 'no-effect', problem)
  }
}

function checkOperation(
  operation: AuthorizationOperation | undefined,
  path: string,
  findings: Findings,
): void {
  for (const [field, values] of Object.entries(operation ?? {})) {
    const at = `${path}.${field}`
    if (field === 'ports' || field === 'notPorts') eachValue(values, at, findings, portProblem)
    else if (field === 'paths' || field === 'notPaths') {
      eachValue(values, at, findings, pathProblem)
      warnOfPaths(values, at, findings)
    } else {
      eachValue(values, at, findings)
      warnOfStars(values, at, findings)
      if (field === 'methods' || field === 'notMethods') warnOfMethods(values, at, findings)
    }
  }
}

const portProblem: Judge = (value) =>
  /^\d{1,5}$/.test(value) && Number(value) <= 65_535
    ? undefined
    : `must be a port between 0 and 65535, got "${value}"`

/** Methods are case-sensitive (RFC 9110, section 9.1). */
function warnOfMethods(values: readonly string[], path: string, findings: Findings): void {
  for (const [index, value] of values.entries()) {
    if (value === value.toUpperCase()) continue
    const message = `methods are case-sensitive: "${value}" is not ${value.toUpperCase()}`
    findings.warning(itemPath(path, index), 'no-effect', message)
  }
}

/** Only whole segments may be holes, and nothing with a hole may follow `{**}`. */
const pathProblem: Judge = (value) => {
  if (!value.includes('{*}') && !value.includes('{**}')) return undefined
  const segments = value.split('/')
  const isHole = (segment: string) => segment === '{*}' || segment === '{**}'
  const many = segments.indexOf('{**}')
  const isSound =
    value.startsWith('/') &&
    segments.every((segment) => isHole(segment) || !/[{}*]/.test(segment)) &&
    (many === -1 || segments.findLastIndex(isHole) === many)
  if (isSound) return undefined
  return `a path template has {*} and {**} as whole segments, no other braces or stars, and {**} last, got "${value}"`
}

function warnOfPaths(values: readonly string[], path: string, findings: Findings): void {
  for (const [index, value] of values.entries()) {
    const at = itemPath(path, index)
    const isTemplate = value.includes('{*}') || value.includes('{**}')
    const odd = isTemplate ? undefined : starProblem(value)
    if (odd !== undefined) findings.warning(at, 'no-effect', odd)
    else if (/[?#]/.test(value)) {
      findings.warning(at, 'no-effect', 'paths are compared without query and fragment')
    } else if (!/^[/*]/.test(value) && value !== '') {
      findings.warning(at, 'no-effect', `paths begin with "/", so "${value}" matches none`)
    }
  }
}

/** The provider decides before anybody is known. */
function checkCustom({ from, when }: AuthorizationRule, path: string, findings: Findings): void {
  const message = 'is not supported with action CUSTOM'
  for (const [index, { source = {} }] of (from ?? []).entries()) {
    for (const [field, values] of Object.entries(source)) {
      if (!/namespaces|serviceAccounts|principals|trustDomains/i.test(field)) continue
      if (values.length === 0) continue
      const at = `${itemPath(`${path}.from`, index)}.source.${field}`
      findings.error(at, 'not-supported', message)
    }
  }
  for (const [index, { key }] of (when ?? []).entries()) {
    if (!/^(source\.(namespace|serviceAccount|principal)$|request\.auth\.)/.test(key)) continue
    findings.error(`${itemPath(`${path}.when`, index)}.key`, 'not-supported', message)
  }
}

/** On a TCP port what HTTP alone knows is left out of a DENY rule, which then denies more. */
function warnOfTcp({ from, to, when }: AuthorizationRule, path: string, findings: Findings): void {
  const says = (fields: object | undefined, names: RegExp) =>
    Object.keys(fields ?? {}).some((field) => names.test(field))
  const hasTcpSource = (from ?? []).some(({ source }) =>
    says(
      source,
      /^(not)?(principals|ipBlocks|namespaces|remoteIpBlocks|serviceAccounts|trustDomains)$/i,
    ),
  )
  const hasTcpOperation = (to ?? []).some(({ operation }) => says(operation, /^(not)?ports$/i))
  const hasPort = (when ?? []).some(({ key }) => key === 'destination.port')
  const isHttpOnly = to === undefined ? from !== undefined && !hasTcpSource : !hasTcpOperation
  if (!isHttpOnly || hasPort) return
  const message =
    'will deny all traffic to TCP ports under its scope due to the use of only HTTP attributes in a DENY rule; it is recommended to explicitly specify the port'
  findings.warning(path, 'denies-tcp', message)
}

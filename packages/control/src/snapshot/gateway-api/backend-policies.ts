/**
 * BackendTLSPolicy and XBackendTrafficPolicy: which of several holds for a port of
 * a Service, what it means, and what each gateway that uses the Service is told.
 */
import { parseDurationMs } from '@weft/base'
import { type Document, type DocumentOf, documentsOf } from '@weft/config'
import type { Origin, RetryBudget, SessionPersistence, SubjectAltNameMatch } from '@weft/model'
import type { MeshService } from '../../registries/registry.ts'
import type { ReferencePart } from '../../status/gateway-api-status.ts'
import type { Condition } from '../../status/object-status.ts'
import { compareObjects } from '../precedence.ts'
import type { Attachments } from './attachment.ts'
import { GATEWAY_API } from './backend.ts'
import type { CertificateAuthorities } from './certificate-authorities.ts'
import { sessionOf } from './session.ts'

/** How gateways talk TLS to a port of a service. */
export interface BackendTls {
  readonly origin: Origin
  readonly sni: string
  /** SDS name of the CA; absent: none is valid, and connections must fail. */
  readonly validation?: string
  readonly names: readonly SubjectAltNameMatch[]
}

interface BackendTraffic {
  readonly origin: Origin
  readonly retryBudget?: RetryBudget
  readonly session?: SessionPersistence
}

export interface BackendPolicies {
  /** By `host|port`. */
  readonly tls: ReadonlyMap<string, BackendTls>
  /** By host. */
  readonly traffic: ReadonlyMap<string, BackendTraffic>
  readonly ancestors: ReadonlyMap<Document, readonly ReferencePart[]>
  readonly conditions: ReadonlyMap<Document, readonly Condition[]>
}

export interface BackendPolicyContext {
  readonly services: ReadonlyMap<string, MeshService>
  readonly domain: string
  readonly authorities: CertificateAuthorities
  readonly attached: Attachments
}

export function backendPolicies(
  documents: readonly Document[],
  context: BackendPolicyContext,
): BackendPolicies {
  const tls = new Map<string, BackendTls>()
  const traffic = new Map<string, BackendTraffic>()
  const ancestors = new Map<Document, readonly ReferencePart[]>()
  const conditions = new Map<Document, readonly Condition[]>()
  const record = (policy: Policy, found: readonly Condition[]) => {
    const refs = gatewaysOf(policy, context).map((ref) => ({ ref, conditions: found }))
    ancestors.set(policy, refs)
    conditions.set(policy, found)
  }
  const owners = new Map<string, Policy>()
  for (const policy of documentsOf(documents, 'BackendTLSPolicy').toSorted(compareObjects)) {
    const { meaning, faults } = readTls(policy, context.authorities)
    const { targets, verdict } = claim(policy, owners, context)
    for (const target of targets) tls.set(target, meaning)
    record(policy, settle(verdict, faults, meaning.validation !== undefined))
  }
  const trafficOwners = new Map<string, Policy>()
  for (const policy of documentsOf(documents, 'XBackendTrafficPolicy').toSorted(compareObjects)) {
    const { targets, verdict } = claim(policy, trafficOwners, context)
    for (const target of targets) traffic.set(target.replace(/\|.*$/, ''), readTraffic(policy))
    record(policy, [verdict])
  }
  return { tls: widen(tls, context), traffic, ancestors, conditions }
}

type Policy = DocumentOf<'BackendTLSPolicy'> | DocumentOf<'XBackendTrafficPolicy'>

const ACCEPTED: Condition = {
  type: 'Accepted',
  status: true,
  reason: 'Accepted',
  message: 'policy accepted',
}

/** The targets that are the policy's own, as `host|sectionName`; the first in precedence has each. */
function claim(policy: Policy, owners: Map<string, Policy>, context: BackendPolicyContext) {
  const targets: string[] = []
  let verdict = ACCEPTED
  const refuse = (reason: string, message: string) => {
    verdict = { type: 'Accepted', status: false, reason, message }
  }
  for (const ref of policy.spec.targetRefs) {
    const section = 'sectionName' in ref ? (ref.sectionName ?? '') : ''
    const host = hostOf(policy, ref.name, context.domain)
    const service = context.services.get(host)
    if (ref.group !== '' || ref.kind !== 'Service') {
      refuse('Invalid', `targets of kind ${ref.group}/${ref.kind} are not supported`)
    } else if (service === undefined) {
      refuse('TargetNotFound', `service ${host} does not exist`)
    } else if (section !== '' && !service.ports.some(({ name }) => name === section)) {
      refuse('TargetNotFound', `service ${host} has no port named ${section}`)
    } else {
      const key = `${host}|${section}`
      const owner = owners.get(key)
      if (owner !== undefined) {
        refuse('Conflicted', `${policy.kind} ${owner.metadata.name} is older for the same target`)
      } else {
        owners.set(key, policy)
        targets.push(key)
      }
    }
  }
  // What a policy got before another of its targets failed stays in force.
  return { targets, verdict }
}

function hostOf({ metadata }: Policy, name: string, domain: string): string {
  return `${name}.${metadata.namespace}.svc.${domain}`
}

function readTls(policy: DocumentOf<'BackendTLSPolicy'>, authorities: CertificateAuthorities) {
  const { validation } = policy.spec
  const { namespace } = policy.metadata
  const refs = validation.caCertificateRefs ?? []
  const from = { group: GATEWAY_API, kind: policy.kind, namespace }
  const bundle =
    refs.length === 0
      ? { validation: authorities.system(), faults: [] }
      : authorities.resolve(refs, from)
  const meaning: BackendTls = {
    origin: policy.origin,
    sni: validation.hostname,
    names: namesOf(policy),
    ...(bundle.validation === undefined ? {} : { validation: bundle.validation }),
  }
  return { meaning, faults: bundle.faults }
}

/** With names of its own the host name only selects the certificate. */
function namesOf({ spec }: DocumentOf<'BackendTLSPolicy'>): readonly SubjectAltNameMatch[] {
  const { hostname, subjectAltNames = [] } = spec.validation
  if (subjectAltNames.length === 0) return [{ type: 'dns', value: exact(hostname) }]
  return subjectAltNames.map((name): SubjectAltNameMatch => {
    if (name.type === 'URI') return { type: 'uri', value: exact(name.uri ?? '') }
    const host = name.hostname ?? ''
    if (!host.startsWith('*.')) return { type: 'dns', value: exact(host) }
    const rest = host.slice(1).replaceAll('.', '\\.')
    return { type: 'dns', value: { kind: 'regex', value: `[^.]+${rest}` } }
  })
}

function exact(value: string): SubjectAltNameMatch['value'] {
  return { kind: 'exact', value, ignoreCase: false }
}

function settle(
  verdict: Condition,
  faults: ReturnType<CertificateAuthorities['resolve']>['faults'],
  hasAuthority: boolean,
): readonly Condition[] {
  const [fault] = faults
  if (fault === undefined) {
    const message = 'all references resolve'
    return [verdict, { type: 'ResolvedRefs', status: true, reason: 'ResolvedRefs', message }]
  }
  const { message } = fault
  const reason = fault.kind === 'kind' ? 'InvalidKind' : 'InvalidCACertificateRef'
  const refs: Condition = { type: 'ResolvedRefs', status: false, reason, message }
  if (hasAuthority || !verdict.status) return [verdict, refs]
  const none = 'no CA certificate is valid: connections fail'
  const refused = { ...verdict, status: false, reason: 'NoValidCACertificate', message: none }
  return [refused, refs]
}

/** A retry rate per second stands for so many retries at a time: one that lasts a second. */
function readTraffic(policy: DocumentOf<'XBackendTrafficPolicy'>): BackendTraffic {
  const { retryConstraint } = policy.spec
  const session = sessionOf(policy.spec.sessionPersistence)
  const traffic = { origin: policy.origin, ...(session === undefined ? {} : { session }) }
  if (retryConstraint === undefined) return traffic
  const intervalMs = parseDurationMs(retryConstraint.budget.interval)
  const { count = 10, interval = '1s' } = retryConstraint.minRetryRate
  const perSecond = (count * 1000) / Math.max(1, parseDurationMs(interval) ?? 1000)
  return {
    ...traffic,
    retryBudget: {
      percent: retryConstraint.budget.percent,
      minRetryConcurrency: Math.max(1, Math.ceil(perSecond)),
      ...(intervalMs === undefined ? {} : { intervalMs }),
    },
  }
}

/** From named sections to ports: a port's own policy before the service's. */
function widen(
  bySection: ReadonlyMap<string, BackendTls>,
  { services }: BackendPolicyContext,
): ReadonlyMap<string, BackendTls> {
  const byPort = new Map<string, BackendTls>()
  for (const key of bySection.keys()) {
    const host = key.replace(/\|.*$/, '')
    for (const { name, port } of services.get(host)?.ports ?? []) {
      const own = bySection.get(`${host}|${name}`) ?? bySection.get(`${host}|`)
      if (own !== undefined) byPort.set(`${host}|${port}`, own)
    }
  }
  return byPort
}

/** Gateways with a route to a service that the policy is for. */
function gatewaysOf(policy: Policy, { attached, domain }: BackendPolicyContext) {
  const hosts = new Set(policy.spec.targetRefs.map(({ name }) => hostOf(policy, name, domain)))
  const refs = new Map<string, object>()
  for (const { parents, backends } of [...attached.routes, ...attached.streams]) {
    const isUsed = [...backends.values()].some(
      (one) => one.kind === 'service' && hosts.has(one.host),
    )
    if (!isUsed) continue
    for (const parent of parents) {
      if (parent.kind !== 'gateway') continue
      const { namespace, name } = parent.listener.gateway.metadata
      refs.set(`${namespace}/${name}`, { group: GATEWAY_API, kind: 'Gateway', namespace, name })
    }
  }
  return [...refs.values()]
}

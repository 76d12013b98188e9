/** TLS of Gateway API listeners: certificates, versions, and whom they ask for one. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { DocumentOf, KubernetesListener } from '@weft/config'
import type { Secret, TlsVersion } from '@weft/model'
import type { Condition } from '../../status/object-status.ts'
import { secretName } from '../secrets.ts'
import { GATEWAY_API, isReferencePermitted } from './backend.ts'
import type { CaFault, CertificateAuthorities } from './certificate-authorities.ts'

export interface ListenerTls {
  /** SDS names of certificates to terminate with. */
  readonly certificates: readonly string[]
  /** SDS name of the CA for clients' certificates. */
  readonly validation?: string
  readonly requireClientCertificate: boolean
  /** Clients with a certificate that is not valid are let in as those without one. */
  readonly acceptUntrusted?: true
  readonly minVersion?: TlsVersion
  readonly maxVersion?: TlsVersion
}

export interface JudgedTls {
  /** Absent: the listener cannot be served. */
  readonly tls?: ListenerTls
  /** What speaks against it, worst first. */
  readonly faults: readonly Omit<Condition, 'where'>[]
}

export interface ListenerTlsContext {
  readonly secrets: ReadonlyMap<string, Secret>
  readonly grants: readonly DocumentOf<'ReferenceGrant'>[]
  readonly authorities: CertificateAuthorities
}

type Owner = DocumentOf<'KubernetesGateway'> | DocumentOf<'ListenerSet'>

const MIN_VERSION = 'weft.io/tls-min-version'
const MAX_VERSION = 'weft.io/tls-max-version'
const VERSIONS: readonly TlsVersion[] = ['1.0', '1.1', '1.2', '1.3']

/** @param gateway Whose `tls.frontend` says which clients' certificates are asked for. */
export function judgeTls(
  gateway: DocumentOf<'KubernetesGateway'>,
  owner: Owner,
  spec: KubernetesListener,
  context: ListenerTlsContext,
): JudgedTls {
  const { certificates, fault } = certificatesOf(owner, spec, context)
  const faults = fault === undefined ? [] : [fault]
  if (certificates.length === 0) return { faults }
  const clients = clientValidation(gateway, spec.port, context)
  const versions = versionsOf(spec)
  if ('type' in versions) return { faults: [...faults, versions] }
  if (clients === undefined) {
    return { tls: { certificates, requireClientCertificate: false, ...versions }, faults }
  }
  const { validation, requireClientCertificate } = clients
  const untrusted = requireClientCertificate ? {} : { acceptUntrusted: true as const }
  const all = [...clients.faults, ...faults]
  if (validation === undefined) return { faults: all }
  const asked = { certificates, validation, requireClientCertificate, ...untrusted }
  return { tls: { ...asked, ...versions }, faults: all }
}

function certificatesOf(
  owner: Owner,
  spec: KubernetesListener,
  { secrets, grants }: ListenerTlsContext,
): { readonly certificates: readonly string[]; readonly fault?: JudgedTls['faults'][number] } {
  const certificates: string[] = []
  let fault: JudgedTls['faults'][number] | undefined
  const blame = (reason: string, message: string) => {
    fault ??= { type: 'ResolvedRefs', status: false, reason, message }
  }
  const { namespace: home } = owner.metadata
  const from = { group: GATEWAY_API, kind: owner.kind, namespace: home }
  for (const ref of spec.tls?.certificateRefs ?? []) {
    const namespace = ref.namespace ?? home
    const what = `secret ${namespace}/${ref.name}`
    const name = secretName(namespace, ref.name)
    const secret = secrets.get(name)
    if (ref.group !== '' || ref.kind !== 'Secret') {
      blame('InvalidCertificateRef', `kind ${ref.group}/${ref.kind} holds no certificate`)
    } else if (!isReferencePermitted(from, { ...ref, namespace }, grants)) {
      blame('RefNotPermitted', `${what} is not granted`)
    } else if (secret?.kind !== 'certificate') {
      blame('InvalidCertificateRef', `${what} does not exist or holds no certificate`)
    } else if (!isKeyPair(secret)) {
      blame('InvalidCertificateRef', `${what} holds no PEM certificate with its key`)
    } else certificates.push(name)
  }
  if (certificates.length === 0) {
    blame('InvalidCertificateRef', `an ${spec.protocol} listener needs a certificate`)
  }
  return fault === undefined ? { certificates } : { certificates, fault }
}

/** Secrets are immutable and seldom change: parsed once each. */
const keyPairs = new WeakMap<Secret, boolean>()

function isKeyPair(secret: Extract<Secret, { kind: 'certificate' }>): boolean {
  const known = keyPairs.get(secret)
  if (known !== undefined) return known
  const isValid = parses(secret.chainPem, secret.keyPem)
  keyPairs.set(secret, isValid)
  return isValid
}

function parses(chainPem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(chainPem).checkPrivateKey(createPrivateKey(keyPem))
  } catch {
    return false
  }
}

/** What the gateway asks of clients on a port; the port's own setting replaces the default. */
export function frontendValidation({ spec }: DocumentOf<'KubernetesGateway'>, port: number) {
  const { frontend } = spec.tls ?? {}
  const ofPort = frontend?.perPort?.find((one) => one.port === port)
  return ofPort === undefined ? frontend?.default.validation : ofPort.tls.validation
}

function clientValidation(
  gateway: DocumentOf<'KubernetesGateway'>,
  port: number,
  { authorities }: ListenerTlsContext,
) {
  const wanted = frontendValidation(gateway, port)
  if (wanted === undefined) return undefined
  const { namespace } = gateway.metadata
  const from = { group: GATEWAY_API, kind: 'Gateway', namespace }
  const { validation, faults: found } = authorities.resolve(wanted.caCertificateRefs, from)
  const faults: JudgedTls['faults'][number][] = found.slice(0, 1).map((fault) => ({
    type: 'ResolvedRefs',
    status: false,
    reason: reasonOf(fault),
    message: fault.message,
  }))
  if (validation === undefined) {
    const message = 'no CA certificate to check clients by is valid'
    faults.unshift({ type: 'Accepted', status: false, reason: 'NoValidCACertificate', message })
  }
  return {
    ...(validation === undefined ? {} : { validation }),
    faults,
    requireClientCertificate: wanted.mode === 'AllowValidOnly',
  }
}

function reasonOf({ kind }: CaFault): string {
  if (kind === 'kind') return 'InvalidCACertificateKind'
  return kind === 'notPermitted' ? 'RefNotPermitted' : 'InvalidCACertificateRef'
}

function versionsOf(
  spec: KubernetesListener,
): Pick<ListenerTls, 'minVersion' | 'maxVersion'> | JudgedTls['faults'][number] {
  const read = (key: string) => {
    const text = spec.tls?.options?.[key]
    return text === undefined ? undefined : (VERSIONS.find((one) => one === text) ?? 'unknown')
  }
  const min = read(MIN_VERSION)
  const max = read(MAX_VERSION)
  if (min === 'unknown' || max === 'unknown' || (min ?? '') > (max ?? '9')) {
    const message = `${MIN_VERSION} and ${MAX_VERSION} must be a range of ${VERSIONS.join(', ')}`
    return { type: 'Accepted', status: false, reason: 'UnsupportedValue', message }
  }
  return {
    ...(min === undefined ? {} : { minVersion: min }),
    ...(max === undefined ? {} : { maxVersion: max }),
  }
}

/**
 * TLS material by SDS name, from Kubernetes Secrets and from files. A Secret `shop`
 * yields the certificate `kubernetes://ns/shop` and, when it holds a CA,
 * `kubernetes://ns/shop-cacert`; files are `file-cert:<chain>~<key>` and
 * `file-root:<ca>` (Istio's names). A proxy reads no files for a peer, so the
 * control plane reads them, where it runs.
 */
import {
  type ClientTlsSettings,
  type Document,
  documentsOf,
  type ServerTlsSettings,
} from '@weft/config'
import type { Secret, TrustDomainRoots } from '@weft/model'
import type { MeshSettings } from './mesh-settings.ts'

export function secretName(namespace: string, name: string): string {
  return `kubernetes://${namespace}/${name}`
}

export function fileCertificate(chain: string, key: string): string {
  return `file-cert:${chain}~${key}`
}

export function fileRoot(path: string): string {
  return `file-root:${path}`
}

/** The authorities that the platform trusts; also what `caCertificates: system` asks for. */
export const SYSTEM_ROOTS = 'file-root:system'

/** Istio's name for what identities of the mesh are verified with. */
export const TRUST_BUNDLE = 'ROOTCA'

/** As a secret like any other: versioned, and acknowledged by each proxy. */
export function trustBundle(
  caPem: string | undefined,
  { trustDomain, trustDomainAliases }: Pick<MeshSettings, 'trustDomain' | 'trustDomainAliases'>,
  federated: readonly TrustDomainRoots[] = [],
): ReadonlyMap<string, Secret> {
  if (caPem === undefined) return new Map()
  const plain = { kind: 'validation', name: TRUST_BUNDLE, caPem } as const
  if (federated.length === 0) return new Map([[TRUST_BUNDLE, plain]])
  // An alias has the mesh's own roots, unless it is a trust domain with its own.
  const byName = new Map(trustDomainAliases.map((alias) => [alias, caPem]))
  for (const one of federated) byName.set(one.trustDomain, one.caPem)
  byName.delete(trustDomain)
  const others = [...byName].map(([name, pem]) => ({ trustDomain: name, caPem: pem }))
  const trustDomains = [{ trustDomain, caPem }, ...others]
  return new Map([[TRUST_BUNDLE, { ...plain, trustDomains }]])
}

/** Where files that documents name, and the platform's trusted authorities, come from. */
export interface TlsFiles {
  /** Text of a file, `undefined` when it cannot be read. */
  read(path: string): string | undefined
  systemRootsPem(): string
}

export function tlsSecrets(
  documents: readonly Document[],
  files?: TlsFiles,
): ReadonlyMap<string, Secret> {
  const secrets = new Map<string, Secret>()
  for (const { metadata, spec } of documentsOf(documents, 'Secret')) {
    const read = (...keys: string[]) => {
      for (const key of keys) {
        const plain = spec.stringData[key]
        if (plain !== undefined) return plain
        const encoded = spec.data[key]
        if (encoded !== undefined) return Buffer.from(encoded, 'base64').toString('utf8')
      }
      return undefined
    }
    const name = secretName(metadata.namespace, metadata.name)
    const chainPem = read('tls.crt', 'cert')
    const keyPem = read('tls.key', 'key')
    if (chainPem !== undefined && keyPem !== undefined) {
      secrets.set(name, { kind: 'certificate', name, chainPem, keyPem })
    }
    const caPem = read('ca.crt', 'cacert')
    const crlPem = read('ca.crl', 'crl')
    if (caPem !== undefined) {
      const caName = metadata.name.endsWith('-cacert') ? name : `${name}-cacert`
      secrets.set(caName, {
        kind: 'validation',
        name: caName,
        caPem,
        ...(crlPem === undefined ? {} : { crlPem }),
      })
    }
  }
  if (files !== undefined) {
    for (const named of filesNamed(documents)) addFiles(named, files, secrets)
  }
  return secrets
}

interface NamedFiles {
  readonly certificate?: string | undefined
  readonly privateKey?: string | undefined
  readonly caCertificates?: string | undefined
  readonly caCrl?: string | undefined
  /** Whether no CA means those of the platform. */
  readonly trustsSystem: boolean
}

/** Every `tls` block of Gateways, Sidecars and DestinationRules. */
function filesNamed(documents: readonly Document[]): readonly NamedFiles[] {
  const servers = [
    ...documentsOf(documents, 'IstioGateway').flatMap(({ spec }) => spec.servers ?? []),
    ...documentsOf(documents, 'Sidecar').flatMap(({ spec }) => spec.ingress ?? []),
  ]
  const clients = documentsOf(documents, 'DestinationRule')
    .flatMap(({ spec }) => [spec, ...(spec.subsets ?? [])])
    .flatMap(({ trafficPolicy: all }) => [all, ...(all?.portLevelSettings ?? [])])
  return [
    ...servers.flatMap(({ tls }) => (tls === undefined ? [] : serverFiles(tls))),
    ...clients.flatMap((policy) => (policy?.tls === undefined ? [] : clientFiles(policy.tls))),
  ]
}

function serverFiles(tls: ServerTlsSettings): readonly NamedFiles[] {
  const { tlsCertificates = [] } = tls
  return [tls, ...tlsCertificates].map((one) => ({
    ...one,
    certificate: one.serverCertificate,
    trustsSystem: false,
  }))
}

function clientFiles(tls: ClientTlsSettings): readonly NamedFiles[] {
  if (tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL') return []
  const trustsSystem = (tls.credentialName ?? '') === '' && tls.insecureSkipVerify !== true
  return [{ ...tls, certificate: tls.clientCertificate, trustsSystem }]
}

function addFiles(named: NamedFiles, files: TlsFiles, secrets: Map<string, Secret>): void {
  const { certificate = '', privateKey = '', caCertificates = '', caCrl = '' } = named
  if (certificate !== '' && privateKey !== '') {
    const name = fileCertificate(certificate, privateKey)
    const chainPem = pem(files, certificate)
    const keyPem = pem(files, privateKey)
    if (chainPem !== undefined && keyPem !== undefined) {
      secrets.set(name, { kind: 'certificate', name, chainPem, keyPem })
    }
  }
  if (caCertificates === 'system' || (caCertificates === '' && named.trustsSystem)) {
    const caPem = files.systemRootsPem()
    secrets.set(SYSTEM_ROOTS, { kind: 'validation', name: SYSTEM_ROOTS, caPem })
  } else if (caCertificates !== '') {
    const name = fileRoot(caCertificates)
    const caPem = pem(files, caCertificates)
    const crlPem = caCrl === '' ? undefined : pem(files, caCrl)
    if (caPem === undefined) return
    secrets.set(name, {
      kind: 'validation',
      name,
      caPem,
      ...(crlPem === undefined ? {} : { crlPem }),
    })
  }
}

/** Whatever else a file holds goes to no proxy: who may write configuration may not read the disk. */
function pem(files: TlsFiles, path: string): string | undefined {
  const text = files.read(path)
  return text?.includes('-----BEGIN ') === true ? text : undefined
}

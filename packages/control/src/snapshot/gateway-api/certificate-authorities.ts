/**
 * CA bundles that Gateway API objects name: a ConfigMap's or a Secret's `ca.crt`,
 * or the platform's. Each list of references becomes one validation secret.
 */
import { X509Certificate } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { type Document, type DocumentOf, documentsOf } from '@weft/config'
import type { Secret } from '@weft/model'
import { SYSTEM_ROOTS } from '../secrets.ts'
import { type GrantSide, isReferencePermitted } from './backend.ts'

export interface CaRef {
  readonly group: string
  readonly kind: string
  readonly name: string
  readonly namespace?: string
}

export interface CaFault {
  readonly kind: 'kind' | 'notPermitted' | 'invalid'
  readonly message: string
}

export interface CaBundle {
  /** SDS name of those that are valid; absent: none is. */
  readonly validation?: string
  readonly faults: readonly CaFault[]
}

/** Finds bundles and keeps the secrets that they became. */
export class CertificateAuthorities {
  readonly #configMaps: ReadonlyMap<string, DocumentOf<'ConfigMap'>>
  readonly #grants: readonly DocumentOf<'ReferenceGrant'>[]
  readonly #known: ReadonlyMap<string, Secret>
  readonly #made = new Map<string, Secret>()

  /** @param known Secrets by SDS name, among them `…-cacert` of Kubernetes Secrets. */
  constructor(documents: readonly Document[], known: ReadonlyMap<string, Secret>) {
    this.#configMaps = new Map(
      documentsOf(documents, 'ConfigMap').map((one) => [
        `${one.metadata.namespace}/${one.metadata.name}`,
        one,
      ]),
    )
    this.#grants = documentsOf(documents, 'ReferenceGrant')
    this.#known = known
  }

  /** What came up so far, by SDS name. */
  get secrets(): ReadonlyMap<string, Secret> {
    return this.#made
  }

  /** Authorities that the platform trusts. */
  system(): string {
    if (!this.#known.has(SYSTEM_ROOTS)) {
      const caPem = rootCertificates.join('\n')
      this.#made.set(SYSTEM_ROOTS, { kind: 'validation', name: SYSTEM_ROOTS, caPem })
    }
    return SYSTEM_ROOTS
  }

  resolve(refs: readonly CaRef[], from: GrantSide): CaBundle {
    const faults: CaFault[] = []
    const parts: { readonly id: string; readonly pem: string }[] = []
    for (const ref of refs) {
      const found = this.#find(ref, from)
      if ('message' in found) faults.push(found)
      else parts.push(found)
    }
    if (parts.length === 0) return { faults }
    const name = `kubernetes-ca://${parts.map(({ id }) => id).join(',')}`
    const caPem = parts.map(({ pem }) => pem.trim()).join('\n')
    this.#made.set(name, { kind: 'validation', name, caPem: `${caPem}\n` })
    return { validation: name, faults }
  }

  #find(ref: CaRef, from: GrantSide): { readonly id: string; readonly pem: string } | CaFault {
    const namespace = ref.namespace ?? from.namespace
    const what = `${ref.kind} ${namespace}/${ref.name}`
    if (ref.group !== '' || (ref.kind !== 'ConfigMap' && ref.kind !== 'Secret')) {
      return { kind: 'kind', message: `${ref.group}/${ref.kind} is no kind that holds a CA` }
    }
    if (!isReferencePermitted(from, { ...ref, namespace }, this.#grants)) {
      return { kind: 'notPermitted', message: `no ReferenceGrant lets ${from.kind} use ${what}` }
    }
    const pem =
      ref.kind === 'ConfigMap'
        ? this.#configMaps.get(`${namespace}/${ref.name}`)?.spec.data['ca.crt']
        : this.#caOfSecret(namespace, ref.name)
    if (pem === undefined) {
      return { kind: 'invalid', message: `${what} does not exist or has no key ca.crt` }
    }
    if (!isCertificate(pem)) {
      return { kind: 'invalid', message: `ca.crt of ${what} is not a PEM certificate` }
    }
    return { id: `${ref.kind.toLowerCase()}/${namespace}/${ref.name}`, pem }
  }

  #caOfSecret(namespace: string, name: string): string | undefined {
    for (const suffix of ['-cacert', '']) {
      const secret = this.#known.get(`kubernetes://${namespace}/${name}${suffix}`)
      if (secret?.kind === 'validation') return secret.caPem
    }
    return undefined
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== undefined
  } catch {
    return false
  }
}

/**
 * Kubernetes Secrets as TLS material. A Secret `shop` yields the certificate
 * `kubernetes://ns/shop` and, when it holds a CA, `kubernetes://ns/shop-cacert`
 * (Istio's names).
 */
import { type Document, documentsOf } from '@weft/config'
import type { Secret } from '@weft/model'

export function secretName(namespace: string, name: string): string {
  return `kubernetes://${namespace}/${name}`
}

export function tlsSecrets(documents: readonly Document[]): ReadonlyMap<string, Secret> {
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
    if (caPem !== undefined) {
      const caName = metadata.name.endsWith('-cacert') ? name : `${name}-cacert`
      secrets.set(caName, { kind: 'validation', name: caName, caPem })
    }
  }
  return secrets
}

/** Test support: issuers of tokens, with keys of their own. */
import { createSign, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

export interface TestIssuer {
  /** The public keys as a JWK set. */
  readonly keySet: string
  token(payload: Readonly<Record<string, unknown>>): string
}

type Algorithm = 'RS256' | 'ES256' | 'EdDSA'

export function testIssuer(alg: Algorithm = 'ES256', kid = 'k1'): TestIssuer {
  const { publicKey, privateKey } = keyPair(alg)
  return {
    keySet: JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg }] }),
    token(payload) {
      const parts = [{ alg, kid, typ: 'JWT' }, payload]
      const signed = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      const text = signed.join('.')
      return `${text}.${signature(alg, text, privateKey).toString('base64url')}`
    },
  }
}

function keyPair(alg: Algorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  if (alg === 'RS256') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  if (alg === 'EdDSA') return generateKeyPairSync('ed25519')
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

function signature(alg: Algorithm, text: string, key: KeyObject): Buffer {
  if (alg === 'EdDSA') return sign(null, Buffer.from(text), key)
  if (alg === 'RS256') return createSign('sha256').update(text).sign(key)
  return sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
}

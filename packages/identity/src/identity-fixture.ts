/** A mesh's certificates for the tests of this package. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { Authority, createIntermediate, createRoot } from './ca/authority.ts'
import type { CertificateRequest } from './x509/certificate-request.ts'
import { readCertificateRequest } from './x509/certificate-request.ts'
import { createCertificateRequest } from './x509/write-request.ts'

export const NOW_MS = Date.UTC(2026, 5, 1)
export const HOUR_MS = 3_600_000
export const DAY_MS = 24 * HOUR_MS

export function newRoot(trustDomain: string, lifetimeMs = 365 * DAY_MS): Authority {
  return new Authority(createRoot(trustDomain, { nowMs: NOW_MS, lifetimeMs }), trustDomain)
}

export function newIntermediate(root: Authority, lifetimeMs = 90 * DAY_MS): Authority {
  const files = createIntermediate(root, { nowMs: NOW_MS, lifetimeMs })
  return new Authority(files, root.trustDomain)
}

export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** DER of a request signed by `key`; `claimed` is the public key it asks for. */
export const requestFor = createCertificateRequest

export function newRequest(): CertificateRequest {
  const read = readCertificateRequest(requestFor(newKey()))
  if (!read.ok) throw new Error(read.problem)
  return read.request
}

/** A workload's certificate with everything that a handshake needs: its key, its signers, and whom it trusts. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import {
  createCertificateRequest,
  readCertificate,
  readPem,
  verifySvid,
  writePem,
} from '@weft/identity'
import { parseSpiffeId, renderSpiffeId } from '@weft/model'

/** PEM throughout. */
export interface Svid {
  readonly id: string
  /** The leaf first, then who signed it, without the root. */
  readonly chainPem: string
  readonly keyPem: string
  /** The root that it leads to. */
  readonly rootPem: string
  /** What peers have to chain to: all that the mesh trusts, as far as is known here. */
  readonly rootsPem: string
  /** Wall clock, milliseconds: when it came here, which is when its life begins for renewal. */
  readonly issuedAtMs: number
  readonly notAfterMs: number
}

type ReadSvid =
  | { readonly ok: true; readonly svid: Svid }
  | { readonly ok: false; readonly problem: string }

interface NewRequest {
  readonly key: KeyObject
  readonly csrPem: string
}

/** A key of its own for every certificate: it never leaves this process but for its owner's disk. */
export function newRequest(): NewRequest {
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  return { key, csrPem: writePem('CERTIFICATE REQUEST', createCertificateRequest(key)) }
}

/**
 * What an authority answered, held to the rules that peers will hold it to. Whether its time has
 * come is not looked at: clocks differ, and an old certificate may be all there is.
 *
 * @param answer PEM, the leaf first, the root last.
 */
export function readSvid(answer: readonly string[], key: KeyObject, issuedAtMs: number): ReadSvid {
  try {
    const certificates = answer.flatMap((pem) => readPem(pem, 'CERTIFICATE'))
    return judge(certificates, key, issuedAtMs)
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error))
  }
}

function judge(certificates: readonly Buffer[], key: KeyObject, issuedAtMs: number): ReadSvid {
  const [leaf, ...signers] = certificates
  if (leaf === undefined || signers.length === 0) {
    return refused('a leaf and its root are needed')
  }
  const roots = signers.filter(isSelfIssued)
  if (roots.length === 0) return refused('there is no root in it')
  const { notBeforeMs, notAfterMs, uriNames } = readCertificate(leaf)
  const parsed = parseSpiffeId(uriNames[0] ?? '')
  if (!parsed.ok) return refused(`its name is no SPIFFE ID: ${parsed.problem}`)
  const chain = [leaf, ...signers.filter((one) => !roots.includes(one))]
  const trusted = new Map([[parsed.id.trustDomain, roots]])
  const verified = verifySvid(chain, trusted, (notBeforeMs + notAfterMs) / 2)
  if (!verified.ok) return refused(verified.problem)
  if (!new X509Certificate(leaf).checkPrivateKey(key)) return refused('it is for another key')
  const rootPem = roots.map((der) => writePem('CERTIFICATE', der)).join('')
  return {
    ok: true,
    svid: {
      id: renderSpiffeId(verified.id),
      chainPem: chain.map((der) => writePem('CERTIFICATE', der)).join(''),
      keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
      rootPem,
      rootsPem: rootPem,
      issuedAtMs,
      notAfterMs,
    },
  }
}

/** What `svid-store.ts` kept. */
export function restoreSvid(saved: Omit<Svid, 'id' | 'notAfterMs'>): ReadSvid {
  try {
    const { chainPem, rootPem, rootsPem, keyPem, issuedAtMs } = saved
    const read = readSvid([chainPem, rootPem], createPrivateKey(keyPem), issuedAtMs)
    return read.ok ? { ok: true, svid: { ...read.svid, rootsPem } } : read
  } catch (error) {
    return refused(error instanceof Error ? error.message : String(error))
  }
}

function isSelfIssued(der: Buffer): boolean {
  const { issuer, subject } = readCertificate(der)
  return issuer.equals(subject)
}

function refused(problem: string): ReadSvid {
  return { ok: false, problem }
}

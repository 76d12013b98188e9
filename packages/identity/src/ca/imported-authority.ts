/**
 * The user's own CA as it comes, looked at before it signs anything: certificates that nobody could
 * verify are worse than none. What is wrong is said in words of the files.
 */
import { X509Certificate } from 'node:crypto'
import { type Certificate, readCertificate } from '../x509/certificate.ts'
import { readPem, writePem } from '../x509/pem.ts'
import { signerProblem } from '../x509/svid-rules.ts'
import { Authority, type AuthorityFiles } from './authority.ts'

/**
 * @param files The chain in any order, but for the signer, which is first.
 * @param nowMs Wall clock.
 * @returns The same with the chain in the order in which each is signed by the next.
 * @throws {Error} When the parts do not belong together, may not sign for the trust domain, or have
 *   expired.
 */
export function checkedAuthority(
  files: AuthorityFiles,
  trustDomain: string,
  nowMs: number,
): AuthorityFiles {
  const root = rootOf(files.rootPem)
  const chain = readPem(files.chainPem, 'CERTIFICATE').map(readCertificate)
  // Key, signer and trust domain fit.
  new Authority(files, trustDomain)
  const ordered = leadingToRoot(chain, root)
  const all = [...ordered, root]
  for (const [depth, each] of all.entries()) {
    const problem = signerProblem(each, trustDomain, depth) ?? timeProblem(each, nowMs)
    if (problem !== undefined) {
      throw new Error(`Cannot import CA: ${nameOf(each, all)}: ${problem}`)
    }
  }
  return { ...files, chainPem: ordered.map(({ der }) => writePem('CERTIFICATE', der)).join('') }
}

function rootOf(rootPem: string): Certificate {
  const [root] = readPem(rootPem, 'CERTIFICATE')
  if (root === undefined) throw new Error('Cannot import CA: the root file has no certificate')
  return readCertificate(root)
}

function leadingToRoot(chain: readonly Certificate[], root: Certificate): readonly Certificate[] {
  const [signer, ...others] = chain
  if (signer === undefined) return []
  const ordered = [signer]
  let last = signer
  const rest = new Set(others)
  while (!isSignedBy(last, root)) {
    const above: Certificate | undefined = [...rest].find((one) => isSignedBy(last, one))
    if (above === undefined) {
      const { issuer } = new X509Certificate(last.der)
      throw new Error(
        `Cannot import CA: it does not lead to the root: no certificate of its issuer (${oneLine(issuer)}) is among the files`,
      )
    }
    rest.delete(above)
    ordered.push(above)
    last = above
  }
  return ordered
}

function isSignedBy(certificate: Certificate, signer: Certificate): boolean {
  if (!certificate.issuer.equals(signer.subject)) return false
  return new X509Certificate(certificate.der).verify(new X509Certificate(signer.der).publicKey)
}

function timeProblem({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): string | undefined {
  if (nowMs < notBeforeMs) return `it is not valid before ${new Date(notBeforeMs).toISOString()}`
  return nowMs >= notAfterMs ? `it expired at ${new Date(notAfterMs).toISOString()}` : undefined
}

function nameOf(certificate: Certificate, all: readonly Certificate[]): string {
  const part = certificate === all.at(-1) ? 'the root' : certificate === all[0] ? 'the signer' : ''
  const { subject } = new X509Certificate(certificate.der)
  return `${part === '' ? 'the certificate above the signer' : part} (${oneLine(subject)})`
}

/** Node writes a part of the name per line. */
function oneLine(name: string): string {
  return name.replaceAll('\n', ', ')
}

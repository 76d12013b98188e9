/**
 * The mesh's bundle after the upstream CA's roots. That one changes its root when it likes; here a
 * certificate under a new root is handed out only when everybody has been told the root:
 *
 *     told, or signed under ─► introduced ─► distributed ─► switched as soon as it signs under it
 */
import {
  type CertificateAuthority,
  keyIdOf,
  readCertificate,
  type TrustBundle,
  trustedRoots,
  writePem,
} from '@weft/identity'
import type { SignedUpstream } from './upstream-answer.ts'

/** Why a certificate may not be handed out yet; `undefined` when it may. */
export async function followRoots(
  ca: CertificateAuthority,
  { root, roots }: SignedUpstream,
): Promise<string | undefined> {
  const signing = idOf(root)
  // What signs comes first: of several new ones it is the one that is needed.
  const fresh = [root, ...roots].find((der) => !isTrusted(ca.bundle, idOf(der)))
  let refusal = ''
  if (fresh !== undefined) {
    try {
      await take(ca, fresh, signing)
    } catch (error) {
      // Another answer may have brought it in just before; what counts is what is trusted now.
      refusal = `: ${error instanceof Error ? error.message : String(error)}`
    }
  }
  const { bundle } = ca
  if (!isTrusted(bundle, signing)) {
    return `it signs under another root (${signing}), which is not told to anybody yet${refusal}`
  }
  return bundle.kind === 'distributing' && signing === bundle.next.keyId
    ? `it signs under a new root (${signing}): certificates come when everybody has been told it`
    : undefined
}

async function take(ca: CertificateAuthority, fresh: Buffer, signing: string): Promise<void> {
  const { bundle } = ca
  if (bundle.kind === 'switched') return
  if (bundle.kind === 'distributing') {
    // Nobody has a certificate of the one that was told before; this one is in use there already.
    if (idOf(fresh) !== signing) return
    await ca.abandon()
  }
  await ca.rotate({ rootPem: writePem('CERTIFICATE', fresh) })
}

function isTrusted(bundle: TrustBundle, keyId: string): boolean {
  return trustedRoots(bundle).some((root) => root.keyId === keyId)
}

function idOf(der: Buffer): string {
  return keyIdOf(readCertificate(der))
}

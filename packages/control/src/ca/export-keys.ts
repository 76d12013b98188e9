/** The CA's keys out of its folder, in the form of Istio's `cacerts`: for whoever may read the folder. */

import { fileCaStore } from './ca-store.ts'
import type { OwnCaFiles } from './own-ca-files.ts'

/**
 * Of the root that signs now.
 * @throws {Error} When the folder holds no CA, or its keys are sealed by another passphrase.
 */
export async function exportCaKeys(folder: string, passphrase?: string): Promise<OwnCaFiles> {
  const state = await fileCaStore(folder, passphrase).load()
  const active = state?.roots.find(({ keyId }) => keyId === state.bundle.active.keyId)
  if (active === undefined) throw new Error(`Cannot export the CA: ${folder} holds none`)
  const { signer, rootPem } = active
  if (signer === undefined) {
    throw new Error(`Cannot export the CA: its keys are with the upstream CA, ${folder} has none`)
  }
  const chainPem = `${signer.chainPem}${rootPem}`
  const [own = rootPem] = chainPem.split(/(?<=-----END CERTIFICATE-----\n)/)
  return {
    'ca-cert.pem': own,
    'ca-key.pem': signer.keyPem,
    'root-cert.pem': rootPem,
    'cert-chain.pem': chainPem,
  }
}

/**
 * As `certificates.ts`, but by the mesh's own CA: root, intermediate, and one X.509-SVID that both
 * ends show. The client's file of trusted certificates has the intermediate too: `openssl s_time`
 * sends no chain but the one that it finds there.
 */

import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { serviceAccountId } from '@weft/model'
import {
  type CaState,
  CertificateAuthority,
  createCertificateRequest,
  writePem,
} from '../../packages/identity/src/index.ts'
import { certificateSecret, type Json, validationSecret } from './resources.ts'

const TRUST_DOMAIN = 'bench'

/** @returns Secrets named `identity` and `ca`. */
export async function makeSvids(parent: string): Promise<readonly Json[]> {
  const dir = `${parent}/certificates`
  mkdirSync(dir)
  let kept: CaState | undefined
  const store = {
    load: async () => kept,
    save: async (state: CaState) => {
      kept = state
    },
  }
  const ca = await CertificateAuthority.open(TRUST_DOMAIN, {
    store,
    wallMs: Date.now,
    monotonicMs: () => performance.now(),
  })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const id = serviceAccountId(TRUST_DOMAIN, 'default', 'app')
  const outcome = ca.issue(createCertificateRequest(privateKey), id, undefined, ['localhost'])
  if (!outcome.ok) throw new Error(`Cannot bench: ${outcome.problem}`)
  const [leaf = '', ...signers] = outcome.svid.chain.map((der) => writePem('CERTIFICATE', der))
  const chainPem = [leaf, ...signers].join('')
  const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const files = {
    'cert.pem': chainPem,
    'key.pem': keyPem,
    'bundle.pem': chainPem + keyPem,
    'ca.pem': ca.bundlePem,
    'trusted-by-client.pem': ca.bundlePem + signers.join(''),
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(`${dir}/${name}`, text)
  return [certificateSecret('identity', chainPem, keyPem), validationSecret('ca', ca.bundlePem)]
}

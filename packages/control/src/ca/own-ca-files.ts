/**
 * The user's own CA, in the form that Istio takes it: the files of the Secret `cacerts`, in a folder
 * or in a Secret document.
 *
 *     ca-cert.pem      certificate of the signer      ca-key.pem      its key
 *     cert-chain.pem   from the signer up to the root  root-cert.pem  the root
 */
import { join } from 'node:path'
import { type Document, documentsOf } from '@weft/config'
import { type AuthorityFiles, isSealed, openSealedKey, readPem, writePem } from '@weft/identity'
import { readIfThere } from './private-files.ts'

const OWN_CA_SECRET = 'cacerts'
const OWN_CA_NAMESPACE = 'istio-system'

const NAMES = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'] as const
type Name = (typeof NAMES)[number]
export type OwnCaFiles = Readonly<Partial<Record<Name, string>>>

export function isOwnCaFile(name: string): name is Name {
  return NAMES.some((known) => known === name)
}

/** `undefined` when the folder holds none of the files. @throws When one cannot be read. */
export async function readOwnCa(folder: string): Promise<OwnCaFiles | undefined> {
  const files: Partial<Record<Name, string>> = {}
  for (const name of NAMES) {
    const text = await readIfThere(join(folder, name))
    if (text !== undefined) files[name] = text
  }
  return Object.keys(files).length === 0 ? undefined : files
}

/** The Secret `istio-system/cacerts` among the documents. */
export function ownCaOf(documents: readonly Document[]): OwnCaFiles | undefined {
  const secret = documentsOf(documents, 'Secret').find(
    ({ metadata }) => metadata.name === OWN_CA_SECRET && metadata.namespace === OWN_CA_NAMESPACE,
  )
  if (secret === undefined) return undefined
  const { data, stringData } = secret.spec
  const files: Partial<Record<Name, string>> = {}
  for (const name of NAMES) {
    const encoded = data[name]
    const text =
      stringData[name] ??
      (encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8'))
    if (text !== undefined) files[name] = text
  }
  return files
}

/**
 * @param passphrase Of a key that `weft` sealed.
 * @throws {Error} When a file is missing or holds something else.
 */
export function authorityFilesOf(files: OwnCaFiles, passphrase?: string): AuthorityFiles {
  const need = (name: Name) => {
    const text = files[name]
    if (text === undefined) throw new Error(`Cannot use the CA's files: ${name} is missing`)
    return text
  }
  const [root] = readPem(need('root-cert.pem'), 'CERTIFICATE')
  const [own] = readPem(need('ca-cert.pem'), 'CERTIFICATE')
  if (root === undefined || own === undefined) {
    throw new Error("Cannot use the CA's files: root-cert.pem or ca-cert.pem has no certificate")
  }
  const above = readPem(files['cert-chain.pem'] ?? '', 'CERTIFICATE')
  // The signer comes first; the root comes by itself, and the rest in the order of the file.
  const chain = own.equals(root)
    ? []
    : [own, ...above.filter((der) => !der.equals(own) && !der.equals(root))]
  const key = need('ca-key.pem')
  return {
    chainPem: chain.map((der) => writePem('CERTIFICATE', der)).join(''),
    rootPem: writePem('CERTIFICATE', root),
    keyPem: isSealed(key) ? openSealedKey(key, passphrase ?? '') : key,
  }
}

/**
 * Where the CA's state is kept: one file in a folder, replaced whole at every step, its private keys
 * sealed when there is a passphrase.
 *
 *     <folder>/ca.json    0600; certificates, the state of rotation, keys
 */
import { join } from 'node:path'
import { type CaState, type CaStore, isSealed, openSealedKey, sealKey } from '@weft/identity'
import { readIfThere, writePrivately } from './private-files.ts'

const FILE = 'ca.json'
const FORMAT = 'weft-ca-1'

type ChangeKey = (keyPem: string) => string

/** @param passphrase Seals the keys; a state that is not sealed yet is at once. */
export function fileCaStore(folder: string, passphrase?: string): CaStore {
  const path = join(folder, FILE)
  const save = async (state: CaState) => {
    const stored =
      passphrase === undefined ? state : withKeys(state, (key) => sealKey(key, passphrase))
    await writePrivately(path, `${JSON.stringify({ format: FORMAT, ...stored }, undefined, 1)}\n`)
  }
  return {
    save,
    async load() {
      const text = await readIfThere(path)
      if (text === undefined) return undefined
      const stored = parseState(text, path)
      let isOpen = false
      const state = withKeys(stored, (key) => {
        if (!isSealed(key)) {
          isOpen = true
          return key
        }
        if (passphrase === undefined) {
          throw new Error(`Cannot open CA: the keys in ${path} are sealed, a passphrase is needed`)
        }
        return openSealedKey(key, passphrase)
      })
      if (isOpen && passphrase !== undefined) await save(state)
      return state
    },
  }
}

/** Nothing survives: for a mesh that ends with its process. */
export function memoryCaStore(): CaStore {
  let kept: CaState | undefined
  return {
    load: () => Promise.resolve(kept),
    save(state) {
      kept = state
      return Promise.resolve()
    },
  }
}

/** The file is our own, but a disk may hold anything; the CA itself checks that the parts fit. */
function parseState(text: string, path: string): CaState {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Error(`Cannot open CA: ${path} is no JSON`, { cause })
  }
  const fields = (value ?? {}) as Record<string, unknown>
  const { format, trustDomain, bundle, roots, jwtKeys, jwtVersion } = fields
  if (format !== FORMAT || typeof trustDomain !== 'string' || !Array.isArray(roots)) {
    throw new Error(`Cannot open CA: ${path} holds no state of a CA`)
  }
  return {
    trustDomain,
    bundle,
    roots,
    ...(Array.isArray(jwtKeys) ? { jwtKeys, jwtVersion } : {}),
  } as CaState
}

function withKeys(state: CaState, change: ChangeKey): CaState {
  const roots = state.roots.map(({ rootKeyPem, signer, ...rest }) => ({
    ...rest,
    ...(rootKeyPem === undefined ? {} : { rootKeyPem: change(rootKeyPem) }),
    ...(signer === undefined ? {} : { signer: { ...signer, keyPem: change(signer.keyPem) } }),
  }))
  const { jwtKeys } = state
  if (jwtKeys === undefined) return { ...state, roots }
  const changed = jwtKeys.map((key) => ({ ...key, keyPem: change(key.keyPem) }))
  return { ...state, roots, jwtKeys: changed }
}

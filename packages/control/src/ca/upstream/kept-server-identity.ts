/**
 * The control plane's own certificate on disk, where an upstream CA signs it: a restart while that
 * one is away must not keep proxies from their control plane.
 *
 *     <folder>/server.json    0600; the key is sealed where there is a passphrase
 */
import { join } from 'node:path'
import { createRoot, isSealed, openSealedKey, sealKey } from '@weft/identity'
import type { XdsTls } from '@weft/xds'
import { readIfThere, writePrivately } from '../private-files.ts'
import type { ServerIdentity } from '../server-identity.ts'

const FILE = 'server.json'
const DAY_MS = 86_400_000

/** `undefined` when there is none that can be used. */
export async function readServerIdentity(
  folder: string,
  passphrase: string | undefined,
): Promise<ServerIdentity | undefined> {
  try {
    const text = await readIfThere(join(folder, FILE))
    if (text === undefined) return undefined
    const { tls, rootKeyId, renewAtMs } = JSON.parse(text) as ServerIdentity
    const { chainPem, keyPem } = tls
    const key = isSealed(keyPem) ? openSealedKey(keyPem, passphrase ?? '') : keyPem
    return { tls: { chainPem, keyPem: key }, rootKeyId, renewAtMs }
  } catch {
    // It is made anew; what cannot be read is nothing that anybody misses.
    return undefined
  }
}

/** @throws What `node:fs` throws. */
export async function keepServerIdentity(
  folder: string,
  passphrase: string | undefined,
  identity: ServerIdentity,
): Promise<void> {
  const { chainPem, keyPem } = identity.tls
  const key = passphrase === undefined ? keyPem : sealKey(keyPem, passphrase)
  const kept = { ...identity, tls: { chainPem, keyPem: key } }
  await writePrivately(join(folder, FILE), `${JSON.stringify(kept)}\n`)
}

/** For ports that must open before anybody has signed: nobody believes it. */
export function unsignedIdentity(trustDomain: string, nowMs: number): XdsTls {
  const { rootPem, keyPem } = createRoot(trustDomain, { nowMs, lifetimeMs: DAY_MS })
  return { chainPem: rootPem, keyPem }
}

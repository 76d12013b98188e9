/** Tokens that a key file of the user signs, for brokers without a control plane. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { CommandError } from '../command.ts'

export interface SignedOrder {
  readonly namespace: string
  readonly serviceAccount: string
  readonly issuer: string
  readonly audiences: readonly string[]
  /** Wall clock, milliseconds. */
  readonly nowMs: number
  readonly lifetimeMs: number
}

export interface SignedToken {
  readonly token: string
  readonly id: string
  readonly expiresAt: string
}

/**
 * Makes the key when the file is missing, and writes the public half beside it.
 * @throws {CommandError} When the file holds no key of P-256.
 */
export async function signToken(file: string, order: SignedOrder): Promise<SignedToken> {
  const key = await keyIn(file)
  const { namespace, serviceAccount, issuer, audiences, nowMs, lifetimeMs } = order
  const jwk = createPublicKey(key).export({ format: 'jwk' })
  const kid = createHash('sha256')
    .update(JSON.stringify([jwk.x, jwk.y]))
    .digest('hex')
    .slice(0, 16)
  const set = { keys: [{ ...jwk, kid, alg: 'ES256', use: 'sig' }] }
  await writeFile(`${file}.jwks.json`, `${JSON.stringify(set, undefined, 2)}\n`)
  const iat = Math.floor(nowMs / 1_000)
  const exp = Math.floor((nowMs + lifetimeMs) / 1_000)
  const claims = {
    ...{ iss: issuer, sub: serviceAccount, namespace, aud: audiences },
    ...{ iat, exp, jti: randomUUID() },
  }
  const text = [{ alg: 'ES256', kid, typ: 'JWT' }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
  return {
    token: `${text}.${signature.toString('base64url')}`,
    id: `${namespace}/${serviceAccount}`,
    expiresAt: new Date(exp * 1_000).toISOString(),
  }
}

async function keyIn(file: string): Promise<KeyObject> {
  const pem = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw new CommandError(`Cannot read ${file}: ${error.message}`, 1, { cause: error })
  })
  if (pem === undefined) {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const made = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    await writeFile(file, made, { mode: 0o600, flag: 'wx' })
    return privateKey
  }
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
  } catch {
    // Said below, as for a key of another kind.
  }
  throw new CommandError(`Cannot sign with ${file}: it must be a private key of P-256, PEM`)
}

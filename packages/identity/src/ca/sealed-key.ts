/**
 * The CA's private key at rest: PKCS #8 in an AEAD envelope, under a key that a passphrase gives
 * (scrypt). Who copies the folder has nothing without the passphrase.
 */
import { createCipheriv, createDecipheriv, randomBytes, scryptSync } from 'node:crypto'

const MARK = 'weft-sealed-key-1'
const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const SALT_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** 32 MiB and about 0.1 s per guess. */
const SCRYPT = { N: 32_768, r: 8, p: 1, maxmem: 64 * 1_024 * 1_024 }

/** @returns One line of text: mark and base64 of salt, nonce, tag and ciphertext. */
export function sealKey(keyPem: string, passphrase: string): string {
  const salt = randomBytes(SALT_BYTES)
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, scryptSync(passphrase, salt, KEY_BYTES, SCRYPT), nonce)
  cipher.setAAD(Buffer.from(MARK))
  const hidden = Buffer.concat([cipher.update(keyPem, 'utf8'), cipher.final()])
  const sealed = Buffer.concat([salt, nonce, cipher.getAuthTag(), hidden])
  return `${MARK} ${sealed.toString('base64')}\n`
}

export function isSealed(text: string): boolean {
  return text.startsWith(`${MARK} `)
}

/** @throws {Error} When the passphrase is wrong or the text was changed; which, nobody can tell. */
export function openSealedKey(text: string, passphrase: string): string {
  const sealed = Buffer.from(text.slice(MARK.length + 1).trim(), 'base64')
  const nonceAt = SALT_BYTES
  const tagAt = nonceAt + NONCE_BYTES
  const hiddenAt = tagAt + TAG_BYTES
  if (!isSealed(text) || sealed.length <= hiddenAt) {
    throw new Error('Cannot open sealed key: the file is none')
  }
  const key = scryptSync(passphrase, sealed.subarray(0, nonceAt), KEY_BYTES, SCRYPT)
  const cipher = createDecipheriv(CIPHER, key, sealed.subarray(nonceAt, tagAt), {
    authTagLength: TAG_BYTES,
  })
  cipher.setAAD(Buffer.from(MARK))
  cipher.setAuthTag(sealed.subarray(tagAt, hiddenAt))
  try {
    return Buffer.concat([cipher.update(sealed.subarray(hiddenAt)), cipher.final()]).toString()
  } catch (cause) {
    const what = 'Cannot open sealed key: the passphrase is wrong, or the file was changed'
    throw new Error(what, { cause })
  }
}

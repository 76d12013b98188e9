/** F23: what cannot be written because there is no room, or the disk may not be written to. */
import { type AdminAnswer, jsonAnswer } from './endpoint.ts'

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  EROFS: 'the disk is read-only',
}

/** 507 (RFC 4918, section 11.5), saying what still works; `undefined`: it is another error. */
export function storageAnswer(error: unknown): AdminAnswer | undefined {
  const { code = '', path = '' } = (error ?? {}) as NodeJS.ErrnoException
  const reason = Object.hasOwn(REASONS, code) ? REASONS[code] : undefined
  if (reason === undefined) return undefined
  const where = path === '' ? '' : ` at ${path}`
  const advice = 'Reads and proxies are served as before; make room and send it again.'
  return jsonAnswer({ error: `cannot write: ${reason}${where} (${code}). ${advice}` }, 507)
}

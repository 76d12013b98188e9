/** Who is logged in: a signed cookie. Any name will do, there is no password; it is a demo. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const COOKIE = 'session'
const key = randomBytes(32)

export function sessionCookie(user: string): string {
  return `${COOKIE}=${encodeURIComponent(user)}.${sign(user)}; Path=/; HttpOnly; SameSite=Lax`
}

export function withoutSession(): string {
  return `${COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0`
}

/** The user that a `cookie` header names, or `undefined`: absent, expired or forged. */
export function userOf(cookies: string | undefined): string | undefined {
  for (const pair of (cookies ?? '').split(/;\s*/)) {
    if (!pair.startsWith(`${COOKIE}=`)) continue
    const value = pair.slice(COOKIE.length + 1)
    const dot = value.lastIndexOf('.')
    if (dot < 1) return undefined
    const user = decode(value.slice(0, dot))
    return user !== undefined && isSame(sign(user), value.slice(dot + 1)) ? user : undefined
  }
  return undefined
}

function sign(user: string): string {
  return createHmac('sha256', key).update(user).digest('base64url')
}

function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** `sessionPersistence` of Gateway API's rules and policies: how a client finds its endpoint again. */
import { parseDurationMs } from '@weft/base'
import type { GatewaySessionPersistence } from '@weft/config'
import type { SessionPersistence } from '@weft/model'

const DEFAULT_NAME = 'weft-session'

export function sessionOf(
  settings: GatewaySessionPersistence | undefined,
): SessionPersistence | undefined {
  if (settings === undefined) return undefined
  const { type, sessionName, cookie, cookieConfig, header, absoluteTimeout } = settings
  if (type === 'Header') {
    return { kind: 'header', name: (header?.name ?? sessionName ?? DEFAULT_NAME).toLowerCase() }
  }
  const lifetime = cookie?.lifetimeType ?? cookieConfig?.lifetimeType
  const isPermanent = lifetime === 'Permanent' && absoluteTimeout !== undefined
  return {
    kind: 'cookie',
    name: cookie?.name ?? sessionName ?? DEFAULT_NAME,
    path: cookie?.path ?? '/',
    ttlMs: isPermanent ? (parseDurationMs(absoluteTimeout) ?? 0) : 0,
  }
}

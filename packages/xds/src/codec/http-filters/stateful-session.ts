/** Session persistence ⇄ `envoy.filters.http.stateful_session`. */
import type { SessionPersistence } from '@weft/model'
import {
  type StatefulSession,
  StatefulSessionPerRouteSchema,
  StatefulSessionSchema,
} from '../../gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.js'
import { CookieBasedSessionStateSchema } from '../../gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.js'
import { HeaderBasedSessionStateSchema } from '../../gen/envoy/extensions/http/stateful_session/header/v3/header_pb.js'
import { covers, type Problems, refuseOthers } from '../problems.ts'
import { decodeDuration, encodeDuration, type Init, packAny, unpackAny } from '../values.ts'
import type { HttpFilterCodec } from './filter-codec.ts'

const SESSION = covers(StatefulSessionSchema, 'session_state')
const PER_ROUTE = covers(StatefulSessionPerRouteSchema, 'disabled', 'stateful_session')

export const statefulSession: HttpFilterCodec<'statefulSession'> = {
  name: 'envoy.filters.http.stateful_session',

  encode: ({ session }) => [
    { value: packAny(StatefulSessionSchema, session === undefined ? {} : encodeSession(session)) },
  ],

  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, StatefulSessionSchema)
    if (proto === undefined) return undefined
    const session = decodeSession(proto, path, problems)
    return {
      kind: 'statefulSession',
      ...(disabled || session === undefined ? {} : { session }),
    }
  },

  encodeOverride({ session }) {
    if (session === undefined) return undefined
    const value = encodeSession(session)
    return packAny(StatefulSessionPerRouteSchema, { override: { case: 'statefulSession', value } })
  },

  decodeOverride(any, path, problems) {
    const proto = unpackAny(any, StatefulSessionPerRouteSchema)
    if (proto === undefined) return undefined
    refuseOthers(PER_ROUTE, proto, path, problems)
    if (proto.override.case === 'disabled') return { disabled: ['statefulSession'] }
    if (proto.override.case === undefined) return {}
    const session = decodeSession(proto.override.value, path, problems)
    return session === undefined ? {} : { session }
  },
}

function encodeSession(session: SessionPersistence): Init<typeof StatefulSessionSchema> {
  if (session.kind === 'header') {
    const typedConfig = packAny(HeaderBasedSessionStateSchema, { name: session.name })
    return { sessionState: { name: 'envoy.http.stateful_session.header', typedConfig } }
  }
  const { name, path, ttlMs } = session
  const typedConfig = packAny(CookieBasedSessionStateSchema, {
    cookie: { name, path, ttl: encodeDuration(ttlMs) },
  })
  return { sessionState: { name: 'envoy.http.stateful_session.cookie', typedConfig } }
}

function decodeSession(
  proto: StatefulSession,
  path: string,
  problems: Problems,
): SessionPersistence | undefined {
  refuseOthers(SESSION, proto, path, problems)
  const any = proto.sessionState?.typedConfig
  if (any === undefined) return undefined
  const header = unpackAny(any, HeaderBasedSessionStateSchema)
  if (header !== undefined) return { kind: 'header', name: header.name.toLowerCase() }
  const cookie = unpackAny(any, CookieBasedSessionStateSchema)?.cookie
  if (cookie === undefined) {
    problems.add(`${path}.session_state`, `${any.typeUrl} is not supported`)
    return undefined
  }
  const { name, path: cookiePath, ttl } = cookie
  return { kind: 'cookie', name, path: cookiePath, ttlMs: decodeDuration(ttl, 0) }
}

/** `/v1/whoami`, `/v1/can`, `/v1/operator-tokens…`, `/v1/audit`: what `weft auth` asks. */
import { isGrant, type OperatorTokenOptions } from './access/operator-tokens.ts'
import { type Access, denial, mayEverywhere, mayIn } from './access/roles.ts'
import {
  type AdminAnswer,
  type AdminEndpoint,
  answerInRange,
  jsonAnswer,
  readObject,
} from './endpoint.ts'

const MAX_AUDIT = 1_000
const DEFAULT_AUDIT = 100

export const whoami: AdminEndpoint = {
  path: '/v1/whoami',
  method: 'GET',
  access: 'authenticated',
  summary: 'who you are to this control plane, and your roles',
  answer: ({ caller: { user, groups, proof, grants } }) =>
    jsonAnswer({ user, groups, proof, grants }),
}

/** @param accesses Of every endpoint; the catalog passes them. */
export function canFor(accesses: () => readonly Access[]): AdminEndpoint {
  return {
    path: '/v1/can',
    method: 'GET',
    access: 'authenticated',
    summary: 'whether you may do ?action= in ?namespace=, e.g. objects.apply in shop',
    answer({ query, caller }) {
      const actions = new Map(
        accesses().flatMap((one) => (typeof one === 'string' ? [] : [[one.action, one] as const])),
      )
      const access = actions.get(query.get('action') ?? '')
      if (access === undefined) {
        return jsonAnswer({ error: `action must be one of ${[...actions.keys()].join(', ')}` }, 400)
      }
      const { action, role, where } = access
      const namespace = query.get('namespace')
      const isMesh = where === 'mesh' || namespace === null
      const allowed = isMesh ? mayEverywhere(caller, role) : mayIn(caller, role, namespace)
      const reason = denial(caller, action, role, isMesh ? 'all' : namespace)
      return jsonAnswer({ allowed, action, role, ...(allowed ? {} : { reason }) })
    },
  }
}

export const operatorTokens: AdminEndpoint = {
  path: '/v1/operator-tokens',
  method: 'GET',
  access: { action: 'operatorTokens.list', role: 'admin', where: 'mesh' },
  summary: 'tokens of operators that have not ended, without their secrets',
  answer: (_request, { operators }) => jsonAnswer({ tokens: operators.tokens.list() }),
}

export const createOperatorToken: AdminEndpoint = {
  path: '/v1/operator-tokens',
  method: 'POST',
  // Of all namespaces, since the bindings may give the user more than whoever makes the token has.
  access: { action: 'operatorTokens.create', role: 'admin', where: 'mesh' },
  summary: 'make one: {"user","groups"?,"role"?,"namespaces"?,"ttlSeconds"?}',
  async answer({ body, caller, about }, { operators }) {
    const options = readOptions(readObject(body) ?? {})
    if (typeof options === 'string') return jsonAnswer({ error: options }, 400)
    return answerInRange(async () => {
      const made = await operators.tokens.create(options, caller.user)
      about(`operator token ${made.id} of ${made.user}`)
      return made
    })
  },
}

export const revokeOperatorToken: AdminEndpoint = {
  path: '/v1/operator-tokens/revoke',
  method: 'POST',
  access: { action: 'operatorTokens.revoke', role: 'admin', where: 'mesh' },
  summary: 'make one worthless: {"id"}; sessions that it began end',
  async answer({ body, about }, { operators }): Promise<AdminAnswer> {
    const { id } = readObject(body) ?? {}
    if (typeof id !== 'string') return jsonAnswer({ error: 'the body must be {"id"}' }, 400)
    about(`operator token ${id}`)
    return (await operators.tokens.revoke(id))
      ? jsonAnswer({ revoked: id })
      : jsonAnswer({ error: `there is no operator token ${id}` }, 404)
  },
}

export const audit: AdminEndpoint = {
  path: '/v1/audit',
  method: 'GET',
  access: { action: 'audit.list', role: 'admin', where: 'mesh' },
  summary: 'who changed what since the start, the newest first; ?limit= (100, at most 1000)',
  answer({ query }, { operators }) {
    const text = query.get('limit') ?? String(DEFAULT_AUDIT)
    const limit = Number(text)
    if (!/^\d{1,4}$/.test(text) || limit < 1 || limit > MAX_AUDIT) {
      return jsonAnswer({ error: `limit must be 1 to ${MAX_AUDIT}` }, 400)
    }
    return jsonAnswer({ entries: operators.audit.last(limit) })
  },
}

/** A text says what is wrong. */
function readOptions(fields: Readonly<Record<string, unknown>>): OperatorTokenOptions | string {
  const { user, groups = [], role, namespaces, ttlSeconds } = fields
  if (typeof user !== 'string') return 'the body must be {"user",…}'
  if (!Array.isArray(groups) || !groups.every((one) => typeof one === 'string')) {
    return 'groups must be a list of names'
  }
  if (ttlSeconds !== undefined && typeof ttlSeconds !== 'number') {
    return 'ttlSeconds must be a number'
  }
  if (role === undefined && namespaces !== undefined) return 'namespaces need a role'
  const grant = role === undefined ? undefined : { role, namespaces: namespaces ?? 'all' }
  if (grant !== undefined && !isGrant(grant)) {
    return 'role must be viewer, operator or admin, and namespaces a list of names'
  }
  return {
    user,
    groups,
    ...(grant === undefined ? {} : { grant }),
    ...(ttlSeconds === undefined ? {} : { ttlMs: ttlSeconds * 1_000 }),
  }
}

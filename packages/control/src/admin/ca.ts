/** `/v1/ca…` and `/v1/join-tokens…`: what `weft ca` and `weft join-token` ask. */
import { authorityFilesOf, isOwnCaFile, type OwnCaFiles } from '../ca/own-ca-files.ts'
import { type AdminAnswer, type AdminEndpoint, jsonAnswer, type PlaneView } from './endpoint.ts'

const DEFAULT_TTL_SECONDS = 600

export const ca: AdminEndpoint = {
  path: '/v1/ca',
  method: 'GET',
  summary: 'the CA: roots, how far a rotation is and what it waits for, expiry',
  answer: (_request, { identities }) => jsonAnswer(identities.ca.status()),
}

export const caBundle: AdminEndpoint = {
  path: '/v1/ca/bundle',
  method: 'GET',
  summary: 'the trusted roots: {"bundle": PEM}; no key',
  answer(_request, { identities }) {
    const { bundlePem } = identities.ca
    if (bundlePem === undefined) return jsonAnswer({ error: 'the CA is not available' }, 503)
    return jsonAnswer({ bundle: bundlePem })
  },
}

export const caRotate: AdminEndpoint = {
  path: '/v1/ca/rotate',
  method: 'POST',
  summary: 'begin the way to a new root; {"abandon":true} goes back while that is possible',
  answer({ body }, plane) {
    const { abandon } = readObject(body) ?? {}
    return change(plane, () =>
      abandon === true ? plane.identities.ca.abandon() : plane.identities.ca.rotate(),
    )
  },
}

export const caImport: AdminEndpoint = {
  path: '/v1/ca/import',
  method: 'POST',
  summary: 'take another CA: {"files":{"ca-cert.pem",…}}, the names of Istio\'s cacerts',
  answer({ body }, plane) {
    const { files } = readObject(body) ?? {}
    if (!isFiles(files)) {
      return jsonAnswer({ error: 'the body must be {"files":{"ca-cert.pem": PEM, …}}' }, 400)
    }
    return change(plane, async () => plane.identities.ca.import(authorityFilesOf(files)))
  },
}

export const joinTokens: AdminEndpoint = {
  path: '/v1/join-tokens',
  method: 'GET',
  summary: 'join tokens that have not ended, without their secrets',
  answer: (_request, { identities }) => jsonAnswer({ tokens: identities.tokens.list() }),
}

export const createJoinToken: AdminEndpoint = {
  path: '/v1/join-tokens',
  method: 'POST',
  summary: 'make one: {"namespace","serviceAccount","node"?,"ttlSeconds"?,"uses"?:number|"any"}',
  async answer({ body }, { identities }) {
    const options = readOptions(readObject(body) ?? {})
    if (options === undefined) {
      return jsonAnswer({ error: 'the body must be {"namespace","serviceAccount",…}' }, 400)
    }
    try {
      const { token, ...info } = await identities.tokens.create(options)
      // Whoever gets it knows the CA by this and trusts nobody on first sight.
      return jsonAnswer({ ...info, token: [token, ...identities.ca.pins()].join('@') })
    } catch (error) {
      if (error instanceof RangeError) return jsonAnswer({ error: error.message }, 400)
      throw error
    }
  },
}

export const revokeJoinToken: AdminEndpoint = {
  path: '/v1/join-tokens/revoke',
  method: 'POST',
  summary: 'make one worthless: {"id"}',
  async answer({ body }, { identities }) {
    const { id } = readObject(body) ?? {}
    if (typeof id !== 'string') return jsonAnswer({ error: 'the body must be {"id"}' }, 400)
    return (await identities.tokens.revoke(id))
      ? jsonAnswer({ revoked: id })
      : jsonAnswer({ error: `there is no join token ${id}` }, 404)
  },
}

/** What the CA refuses now is a conflict; the answer says why. */
async function change(plane: PlaneView, work: () => Promise<void>): Promise<AdminAnswer> {
  try {
    await work()
  } catch (error) {
    return jsonAnswer({ error: error instanceof Error ? error.message : String(error) }, 409)
  }
  return jsonAnswer(plane.identities.ca.status())
}

type Fields = Readonly<Record<string, unknown>>

function readObject(body: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(body)
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}

function isFiles(value: unknown): value is OwnCaFiles {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).every(
    ([name, text]) => isOwnCaFile(name) && typeof text === 'string',
  )
}

/** Bounds are checked by whoever makes the token. */
function readOptions(fields: Fields) {
  const { namespace, serviceAccount, node, ttlSeconds = DEFAULT_TTL_SECONDS, uses = 1 } = fields
  if (typeof namespace !== 'string' || typeof serviceAccount !== 'string') return undefined
  if (node !== undefined && typeof node !== 'string') return undefined
  if (typeof ttlSeconds !== 'number') return undefined
  if (uses !== 'any' && typeof uses !== 'number') return undefined
  return {
    namespace,
    serviceAccount,
    ttlMs: ttlSeconds * 1_000,
    ...(node === undefined ? {} : { node }),
    ...(uses === 'any' ? {} : { uses }),
  }
}

/** `/v1/ca…` and `/v1/join-tokens…`: what `weft ca` and `weft join-token` ask. */
import { renderSpiffeBundle } from '@weft/identity'
import { authorityFilesOf, isOwnCaFile, type OwnCaFiles } from '../ca/own-ca-files.ts'
import { denial, mayIn } from './access/roles.ts'
import {
  type AdminAnswer,
  type AdminEndpoint,
  answerInRange,
  jsonAnswer,
  type PlaneView,
  readObject,
} from './endpoint.ts'

const DEFAULT_TTL_SECONDS = 600

export const ca: AdminEndpoint = {
  path: '/v1/ca',
  method: 'GET',
  access: { action: 'ca.status', role: 'viewer', where: 'mesh' },
  summary: 'the CA: roots, how far a rotation is and what it waits for, expiry',
  answer: (_request, { identities }) => jsonAnswer(identities.ca.status()),
}

export const caBundle: AdminEndpoint = {
  path: '/v1/ca/bundle',
  method: 'GET',
  access: { action: 'ca.bundle', role: 'viewer', where: 'namespaces' },
  summary: 'the trusted roots: {"bundle": PEM}; no key',
  answer(_request, { identities }) {
    const { bundlePem } = identities.ca
    if (bundlePem === undefined) return jsonAnswer({ error: 'the CA is not available' }, 503)
    return jsonAnswer({ bundle: bundlePem })
  },
}

export const caSpiffeBundle: AdminEndpoint = {
  path: '/v1/spiffe-bundle',
  method: 'GET',
  access: { action: 'ca.bundle', role: 'viewer', where: 'namespaces' },
  summary: 'what other trust domains need to believe this one: a SPIFFE bundle; no private key',
  answer(_request, { identities }) {
    const { spiffeBundle } = identities.ca
    if (spiffeBundle === undefined) return jsonAnswer({ error: 'the CA is not available' }, 503)
    return { status: 200, contentType: 'application/json', body: renderSpiffeBundle(spiffeBundle) }
  },
}

export const caFederation: AdminEndpoint = {
  path: '/v1/federation',
  method: 'GET',
  access: { action: 'ca.status', role: 'viewer', where: 'mesh' },
  summary: 'other trust domains: whose bundle is known, since when, and what is wrong',
  answer: (_request, { identities }) => jsonAnswer({ trustDomains: identities.federation() }),
}

export const caRotate: AdminEndpoint = {
  path: '/v1/ca/rotate',
  method: 'POST',
  access: { action: 'ca.rotate', role: 'admin', where: 'mesh' },
  summary: 'begin the way to a new root; {"abandon":true} goes back while that is possible',
  answer({ body, about }, plane) {
    const { abandon } = readObject(body) ?? {}
    about(abandon === true ? 'the rotation, abandoned' : 'the root')
    return change(plane, () =>
      abandon === true ? plane.identities.ca.abandon() : plane.identities.ca.rotate(),
    )
  },
}

export const caImport: AdminEndpoint = {
  path: '/v1/ca/import',
  method: 'POST',
  access: { action: 'ca.import', role: 'admin', where: 'mesh' },
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
  access: { action: 'joinTokens.list', role: 'admin', where: 'namespaces' },
  summary: 'join tokens that have not ended, without their secrets',
  answer: ({ caller }, { identities }) =>
    jsonAnswer({
      tokens: identities.tokens.list().filter((one) => mayIn(caller, 'admin', one.namespace)),
    }),
}

export const createJoinToken: AdminEndpoint = {
  path: '/v1/join-tokens',
  method: 'POST',
  access: { action: 'joinTokens.create', role: 'admin', where: 'namespaces' },
  summary: 'make one: {"namespace","serviceAccount","node"?,"ttlSeconds"?,"uses"?:number|"any"}',
  async answer({ body, caller, about }, { identities }) {
    const options = readOptions(readObject(body) ?? {})
    if (options === undefined) {
      return jsonAnswer({ error: 'the body must be {"namespace","serviceAccount",…}' }, 400)
    }
    const { namespace, serviceAccount } = options
    about(`join token for ${namespace}/${serviceAccount}`)
    if (!mayIn(caller, 'admin', namespace)) {
      return jsonAnswer({ error: denial(caller, 'joinTokens.create', 'admin', namespace) }, 403)
    }
    return answerInRange(async () => {
      const { token, ...info } = await identities.tokens.create(options)
      // Whoever gets it knows the CA by this and trusts nobody on first sight.
      return { ...info, token: [token, ...identities.ca.pins()].join('@') }
    })
  },
}

export const revokeJoinToken: AdminEndpoint = {
  path: '/v1/join-tokens/revoke',
  method: 'POST',
  access: { action: 'joinTokens.revoke', role: 'admin', where: 'namespaces' },
  summary: 'make one worthless: {"id"}',
  async answer({ body, caller, about }, { identities }) {
    const { id } = readObject(body) ?? {}
    if (typeof id !== 'string') return jsonAnswer({ error: 'the body must be {"id"}' }, 400)
    about(`join token ${id}`)
    const found = identities.tokens.list().find((one) => one.id === id)
    // Those of other namespaces are not there at all.
    const isTheirs = found !== undefined && mayIn(caller, 'admin', found.namespace)
    return isTheirs && (await identities.tokens.revoke(id))
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

function isFiles(value: unknown): value is OwnCaFiles {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).every(
    ([name, text]) => isOwnCaFile(name) && typeof text === 'string',
  )
}

/** Bounds are checked by whoever makes the token. */
function readOptions(fields: Readonly<Record<string, unknown>>) {
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

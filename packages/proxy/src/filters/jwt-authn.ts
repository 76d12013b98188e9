/**
 * Tokens of end users (Envoy's jwt_authn filter). Fields that carry claims are the filter's alone:
 * what a client writes into them is removed before anything is looked at.
 */
import type { JwtProvider } from '@weft/model'
import { guardedFetch } from '@weft/net'
import { FIRST_PICK } from '@weft/traffic'
import { type FieldChanges, isFieldValue } from '../exchange/request-changes.ts'
import { towards } from '../tls/connect-upstream.ts'
import { agentFor } from './ext-authz/agents.ts'
import { FilterMemory } from './filter-memory.ts'
import type { BindFilter, FilterCall, FilterScope, FilterVerdict } from './http-filter.ts'
import { type Accepted, type Outcome, TokenSearch } from './jwt-authn/decide.ts'
import { type Problem, ProviderVerifier, problemText } from './jwt-authn/provider-verifier.ts'
import { RemoteKeys } from './jwt-authn/remote-keys.ts'
import { without } from './jwt-authn/token-places.ts'

const NAME = 'envoy.filters.http.jwt_authn'
const MAX_KEY_SET_BYTES = 262_144
const MAX_REALM_LENGTH = 256
/** Clusters that the control plane made for key sets alone: no operator said where they are. */
const UNDECLARED = 'jwks|'

const verifiersOf = new FilterMemory<ProviderVerifier>()

export const jwtAuthn: BindFilter<'jwtAuthn'> = ({ authentication }, scope) => {
  const { providers, named, bypassCorsPreflight, hideReasons } = authentication
  const asked = scope.overrides.jwtRequirement
  const requirement =
    asked === undefined
      ? authentication.requirement
      : (named.find(({ name }) => name === asked)?.requirement ?? NEVER)
  const verifiers = new Map(providers.map((one) => [one.name, verifierOf(one, scope)]))
  const own = ownFields(providers)
  const stats = statsOf(scope)
  const rematch = providers.some(({ clearRouteCache }) => clearRouteCache === true)
  return {
    onRequest(call): FilterVerdict {
      const cleaned = { remove: own.filter((name) => call.fieldLines(name).length > 0) }
      const passes = bypassCorsPreflight && isPreflight(call)
      if (passes) stats?.preflight()
      if (requirement === undefined || passes) return changed(cleaned, false)
      const finish = (): FilterVerdict => {
        const search = new TokenSearch(verifiers, call, scope.deps.clock.nowMs())
        const outcome = search.decide(requirement)
        if (!outcome.ok) {
          stats?.denied()
          return refusal(outcome.problem, call, hideReasons === true)
        }
        stats?.allowed()
        return accept(outcome, cleaned, call, rematch)
      }
      const pending = new TokenSearch(verifiers, call, scope.deps.clock.nowMs()).pending()
      return pending.length === 0 ? finish() : afterwards(pending, finish)
    },
  }
}

/** A requirement by a name that nobody knows lets nothing pass. */
const NEVER = { kind: 'any', of: [] } as const

function afterwards(pending: readonly Promise<void>[], finish: () => FilterVerdict): FilterVerdict {
  return {
    kind: 'wait',
    start(done) {
      let open = true
      void Promise.all(pending).then(() => {
        if (open) done(finish())
      })
      return () => {
        open = false
      }
    },
  }
}

function ownFields(providers: readonly JwtProvider[]): readonly string[] {
  const names = providers.flatMap(({ payloadHeader, claimHeaders }) => [
    ...(payloadHeader === undefined ? [] : [payloadHeader]),
    ...claimHeaders.map(({ header }) => header),
  ])
  return [...new Set(names.map((name) => name.toLowerCase()))]
}

/** Fetch standard: browsers ask without credentials whether they may ask. */
function isPreflight({ request }: FilterCall): boolean {
  return (
    request.method === 'OPTIONS' &&
    request.header('origin') !== undefined &&
    request.header('access-control-request-method') !== undefined
  )
}

function changed(changes: FieldChanges, rematch: boolean): FilterVerdict {
  const { remove = [], set = [], append = [], path } = changes
  const isEmpty = remove.length + set.length + append.length === 0 && path === undefined
  return isEmpty && !rematch ? undefined : { kind: 'change', changes, rematch }
}

function accept(
  { accepted }: Extract<Outcome, { ok: true }>,
  cleaned: FieldChanges,
  call: FilterCall,
  rematch: boolean,
): FilterVerdict {
  for (const { verifier, verdict } of accepted) {
    call.facts.addToken(verdict.token)
    const { payloadMetadataKey: key } = verifier.provider
    if (key !== undefined) call.facts.addMetadata(NAME, { [key]: verdict.token.payload })
  }
  const kept = accepted.filter(({ verifier }) => verifier.provider.forward)
  const stripped = accepted.filter(({ verifier }) => !verifier.provider.forward)
  const sources = stripped.flatMap(({ verifier }) => verifier.provider.from)
  const forwarded = new Set(
    kept.flatMap(({ verifier }) => verifier.provider.from.map((source) => JSON.stringify(source))),
  )
  const bare = without(
    sources.filter((source) => !forwarded.has(JSON.stringify(source))),
    call,
  )
  const fields = accepted.flatMap(fieldsOf)
  const changes: FieldChanges = {
    remove: [...(cleaned.remove ?? []), ...(bare.remove ?? [])],
    set: [...(bare.set ?? [])],
    append: fields,
    ...(bare.path === undefined ? {} : { path: bare.path }),
  }
  return changed(changes, rematch && accepted.length > 0)
}

function fieldsOf({ verifier: { provider }, verdict }: Accepted) {
  const { payloadHeader, claimHeaders } = provider
  const ofPayload =
    payloadHeader === undefined ? [] : [{ name: payloadHeader, value: verdict.payloadText }]
  const ofClaims = claimHeaders.flatMap(({ header, claim }) => {
    const value = claimText(verdict.token.payload, claim)
    return value === undefined || !isFieldValue(value) ? [] : [{ name: header, value }]
  })
  return [...ofPayload, ...ofClaims]
}

/** Lists and objects as base64 of their JSON (Envoy). A name with dots is a path, or the name itself. */
function claimText(payload: Readonly<Record<string, unknown>>, claim: string): string | undefined {
  let value: unknown = payload
  for (const key of Object.hasOwn(payload, claim) ? [claim] : claim.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[key]
  }
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (value === null || value === undefined) return undefined
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64')
}

function refusal(problem: Problem, call: FilterCall, hideReasons: boolean): FilterVerdict {
  const text = problemText(problem)
  const { request } = call
  const realm = `${request.scheme}://${request.authority}${request.path.split('?', 1)[0]}`
    .slice(0, MAX_REALM_LENGTH)
    .replaceAll(/[^\x21-\x7e]|["\\]/g, '')
  const error = problem === 'missing' ? '' : ', error="invalid_token"'
  const headers = [['www-authenticate', `Bearer realm="${realm}"${error}`]] as const
  const details = `jwt_authn_access_denied{${text.replaceAll(' ', '_')}}`
  // The token is right, but not for this place.
  const status = problem === 'audience' ? 403 : 401
  const reply = hideReasons ? { status } : { status, body: text, headers }
  return { kind: 'reply', reply, details }
}

function statsOf({ deps: { filterStats }, runtime }: FilterScope) {
  if (filterStats === undefined) return undefined
  const counter = (leaf: string) =>
    filterStats.counter({ kind: 'http', name: runtime.manager.statPrefix }, `jwt_authn.${leaf}`)
  return {
    allowed: counter('allowed'),
    denied: counter('denied'),
    preflight: counter('cors_preflight_bypassed'),
  }
}

/** The same as before a push that changed nothing about it. */
function verifierOf(provider: JwtProvider, scope: FilterScope): ProviderVerifier {
  const remote = remoteKeys(provider, scope)
  return verifiersOf.get(scope.deps, provider, () => new ProviderVerifier(provider, remote))
}

interface KeySet {
  readonly keys: RemoteKeys
  /** Of the latest configuration. */
  scope: FilterScope
}

const keySets = new FilterMemory<KeySet>()

/** One for all providers of the same keys: who asks does not matter to the issuer (R63). */
function remoteKeys({ keys }: JwtProvider, scope: FilterScope): RemoteKeys | undefined {
  if (keys.kind === 'inline') return undefined
  const { deps } = scope
  const keySet = keySets.get(deps, keys, () => {
    const fetch = (uri: string) => {
      const declared = endpointOf(uri, keys, keySet.scope)
      return guardedFetch(uri, {
        clock: deps.clock,
        timeoutMs: keys.timeoutMs,
        maxBytes: MAX_KEY_SET_BYTES,
        allowedHosts: deps.keyHosts ?? [],
        ...(deps.resolve === undefined ? {} : { resolve: deps.resolve }),
        ...declared,
      })
    }
    const { clock, log } = deps
    return { keys: new RemoteKeys(keys.uri, keys.cacheMs, { clock, log, fetch }), scope }
  })
  keySet.scope = scope
  return keySet.keys
}

/** Where a service of the mesh is: whoever declared it said that it may be asked. */
function endpointOf(
  uri: string,
  keys: Extract<JwtProvider['keys'], { kind: 'remote' }>,
  { runtime, deps }: FilterScope,
) {
  if (keys.cluster.startsWith(UNDECLARED)) return undefined
  // What a discovery document names may be elsewhere.
  if (!URL.canParse(uri) || new URL(uri).origin !== new URL(keys.uri).origin) return undefined
  const cluster = runtime.clusters.get(keys.cluster)
  const endpoint = cluster?.pick(FIRST_PICK)?.endpoint
  if (cluster === undefined || endpoint === undefined) return undefined
  const called = towards(cluster.model, endpoint)
  // One with a proxy of the mesh takes nothing else where STRICT is in force.
  const isMesh = called.tls !== undefined
  return { endpoint: endpoint.address, ...(isMesh ? { agent: agentFor(called, deps) } : {}) }
}

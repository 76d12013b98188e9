/** Tokens of end users (Envoy's jwt_authn filter); what decides is `JwtJudge`. */
import type { JwtProvider } from '@weft/model'
import { guardedFetch } from '@weft/net'
import {
  FIRST_PICK,
  type JwtAcceptance,
  JwtJudge,
  ProviderVerifier,
  RemoteKeys,
} from '@weft/traffic'
import type { FieldChanges } from '../exchange/request-changes.ts'
import { towards } from '../tls/connect-upstream.ts'
import { agentFor } from './ext-authz/agents.ts'
import { FilterMemory } from './filter-memory.ts'
import type { BindFilter, FilterCall, FilterScope, FilterVerdict } from './http-filter.ts'

const NAME = 'envoy.filters.http.jwt_authn'
const MAX_KEY_SET_BYTES = 262_144
/** Clusters that the control plane made for key sets alone: no operator said where they are. */
const UNDECLARED = 'jwks|'

const verifiersOf = new FilterMemory<ProviderVerifier>()

export const jwtAuthn: BindFilter<'jwtAuthn'> = ({ authentication }, scope) => {
  const { providers } = authentication
  const asked = scope.overrides.jwtRequirement
  const judge = new JwtJudge(authentication, asked, (provider) => verifierOf(provider, scope))
  const stats = statsOf(scope)
  const rematch = providers.some(({ clearRouteCache }) => clearRouteCache === true)
  return {
    onRequest(call): FilterVerdict {
      const passes = judge.isBypassed(call)
      if (passes) stats?.preflight()
      if (judge.requirement === undefined || passes) return changed(judge.cleaned(call), false)
      const finish = (): FilterVerdict => {
        const verdict = judge.judge(call, scope.deps.clock.nowMs())
        if (verdict.ok) {
          stats?.allowed()
          return accept(verdict, call, rematch)
        }
        stats?.denied()
        const { status, body, headers, details } = verdict
        const reply = body === undefined ? { status } : { status, body, headers }
        return { kind: 'reply', reply, details }
      }
      const pending = judge.pending(call, scope.deps.clock.nowMs())
      return pending.length === 0 ? finish() : afterwards(pending, finish)
    },
  }
}

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

function changed(changes: FieldChanges, rematch: boolean): FilterVerdict {
  const { remove = [], set = [], append = [], path } = changes
  const isEmpty = remove.length + set.length + append.length === 0 && path === undefined
  return isEmpty && !rematch ? undefined : { kind: 'change', changes, rematch }
}

function accept(
  { tokens, metadata, changes }: JwtAcceptance,
  call: FilterCall,
  rematch: boolean,
): FilterVerdict {
  for (const token of tokens) call.facts.addToken(token)
  for (const [key, payload] of Object.entries(metadata)) {
    call.facts.addMetadata(NAME, { [key]: payload })
  }
  return changed(changes, rematch && tokens.length > 0)
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

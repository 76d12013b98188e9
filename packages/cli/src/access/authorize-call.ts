/**
 * A call at the workload that gets it: which way in it takes (mutual TLS or not), and what the
 * guards of that way say. The filter chain is found and judged by what a proxy uses for it.
 */
import { realClock } from '@weft/base'
import { type FilterChain, type Listener, parseSpiffeId, type RequestView } from '@weft/model'
import { type AccessCall, AccessJudge, type Judgement } from '@weft/proxy'
import { TextMatcher } from '@weft/traffic'
import type { Call } from '../simulate/call.ts'
import { findFilterChain, findListener } from '../simulate/connection.ts'
import type { Authorization, MutualTls } from '../simulate/result.ts'
import { type Destination, inboundListeners, whereOf } from './destination.ts'

export interface AccessAnswer {
  readonly authorization: Authorization
  readonly mtls: MutualTls
  /** As it arrives: with the mesh's TLS, where both sides have it. */
  readonly call: Call
  /** At the workload. */
  readonly port: number
}

/** Judges many calls to one workload; chains are bound once. */
export class DestinationJudge {
  readonly destination: Destination
  readonly #judges = new Map<FilterChain, AccessJudge>()

  constructor(destination: Destination) {
    this.destination = destination
  }

  /** Whether it is let in, without reasons. */
  decide(call: Call): Authorization['decision'] {
    const { chain, arriving, port, refused } = this.#way(call)
    if (refused !== undefined || chain === undefined) return 'deny'
    const decision = this.#judgeOf(chain).decide(
      accessCall(arriving, port, this.destination.proxy.addresses[0]),
    )
    return decision === 'ask' ? 'custom' : decision
  }

  /** @param call Its principal is who calls; `undefined`: somebody without an identity. */
  ask(call: Call): AccessAnswer {
    const { chain, arriving, port, refused, mtls } = this.#way(call)
    const authorization =
      refused ?? authorizationOf(this.#judge(chain, arriving, port), this.destination, arriving)
    return { authorization, mtls, call: arriving, port }
  }

  /** How the call gets in. */
  #way(call: Call) {
    const { destination } = this
    const port = portOf(destination, call)
    const { mode, ...said } = destination.modeAt(port)
    const arriving = arrivingCall(destination, call, mode, port)
    const listener = inboundAt(destination, arriving, port)
    const plain: Call = { ...arriving, tls: 'plaintext', alpn: [], sni: '' }
    const plaintext = isServed(chainAt(listener, plain, port), plain) ? 'accepted' : 'refused'
    const mtls: MutualTls = {
      mode,
      policy: said.policy ?? null,
      origin: said.origin ?? null,
      plaintext,
      because: mutualTlsReason(mode, plaintext, said.policy),
      call: arriving.tls,
    }
    const chain = chainAt(listener, arriving, port)
    return {
      chain,
      arriving,
      port,
      mtls,
      refused: transportRefusal(chain, arriving, mtls, destination),
    }
  }

  #judge(chain: FilterChain | undefined, call: Call, port: number): Judgement {
    if (chain === undefined) throw new Error('Cannot judge: no filter chain takes the call')
    return this.#judgeOf(chain).judge(accessCall(call, port, this.destination.proxy.addresses[0]))
  }

  #judgeOf(chain: FilterChain): AccessJudge {
    const known = this.#judges.get(chain) ?? new AccessJudge(chain, realClock)
    this.#judges.set(chain, known)
    return known
  }
}

/** What one proxy on the way says of a call, e.g. a gateway. */
export function judgeChain(chain: FilterChain, call: Call, port: number): Authorization {
  const principal = call.tls === 'mtls' ? call.source?.principal : undefined
  const judgement = new AccessJudge(chain, realClock).judge(accessCall(call, port, undefined))
  return rendered(judgement, principal)
}

function portOf({ ports, proxy }: Destination, call: Call): number {
  const written = call.destination?.port
  if (written !== undefined) return written
  const own = ports.map(({ port }) => port)
  const mapped = ports.find(({ servicePort }) => servicePort === call.port)?.port
  if (proxy.offers.length === 0 && call.written.port && own.includes(call.port)) return call.port
  if (mapped !== undefined) return mapped
  const [only] = new Set(own)
  return !call.written.port && only !== undefined ? only : call.port
}

function mutualTlsReason(
  mode: MutualTls['mode'],
  plaintext: MutualTls['plaintext'],
  policy: string | undefined,
): string {
  const who =
    policy === undefined ? 'no PeerAuthentication says otherwise' : `PeerAuthentication ${policy}`
  if (plaintext === 'refused') return `${mode}: plaintext is refused (${who})`
  return mode === 'STRICT'
    ? `${mode} (${who}), but no service names this port: plaintext passes`
    : `${mode}: plaintext is accepted (${who})`
}

/** Mesh protocols of a ClientHello, as Istio's and Weft's callers offer them. */
const MESH_ALPN = {
  http: ['istio-http/1.1', 'istio', 'http/1.1'],
  http2: ['istio-h2', 'istio', 'h2'],
  tcp: ['istio'],
} as const

/** Callers with an identity use it, unless the call or the called says otherwise. */
function arrivingCall(
  { trustDomain, ports, name }: Destination,
  call: Call,
  mode: MutualTls['mode'],
  port: number,
): Call {
  const address = call.destination?.ip ?? call.address
  const there: Call = { ...call, address, port, direction: 'inbound' }
  const principal = principalIn(call, trustDomain)
  const isMesh = principal !== undefined && (!call.written.tls || call.tls === 'mtls')
  if (!isMesh || mode === 'DISABLE') {
    return call.tls === 'mtls' && mode === 'DISABLE'
      ? { ...there, tls: 'plaintext', alpn: [] }
      : there
  }
  const servicePort = ports.find((one) => one.port === port)?.servicePort ?? port
  const [namespace = '', workload = ''] = name.split('/')
  const sni = call.written.sni
    ? call.sni
    : `outbound_.${servicePort}_._.${workload}.${namespace}.svc.cluster.local`
  const source = { ...call.source, principal }
  return { ...there, tls: 'mtls', alpn: MESH_ALPN[call.protocol], sni, source }
}

function principalIn({ source, tls }: Call, trustDomain: string): string | undefined {
  if (source?.principal !== undefined) return source.principal
  const namespace = source?.namespace ?? (tls === 'mtls' ? 'default' : undefined)
  return namespace === undefined ? undefined : `spiffe://${trustDomain}/ns/${namespace}/sa/default`
}

function inboundAt(destination: Destination, call: Call, port: number): Listener | undefined {
  const listeners = inboundListeners(destination)
  const { offers } = destination.proxy
  if (offers.length === 0) return findListener(listeners, call, port)
  return listeners.find(({ name }) => name === `weft:inbound|${port}`)
}

function chainAt(
  listener: Listener | undefined,
  call: Call,
  port: number,
): FilterChain | undefined {
  return listener === undefined ? undefined : findFilterChain(listener, call, port)
}

function isServed(chain: FilterChain | undefined, call: Call): boolean {
  if (chain === undefined) return false
  return (chain.tls !== undefined) === (call.tls !== 'plaintext')
}

/** What ends before a policy is asked. */
function transportRefusal(
  chain: FilterChain | undefined,
  call: Call,
  mtls: MutualTls,
  { name }: Destination,
): Authorization | undefined {
  const refused = (because: string): Authorization => ({
    decision: 'deny',
    policy: mtls.policy,
    rule: null,
    because,
    kind: mtls.policy === null ? null : 'PeerAuthentication',
    origin: mtls.origin,
    status: null,
    details: null,
    provider: null,
    at: name,
    notes: [],
  })
  if (chain === undefined) {
    return refused(
      mtls.mode === 'STRICT' && call.tls !== 'mtls'
        ? notOfMesh(call, mtls)
        : `nothing takes such a connection on port ${call.port}`,
    )
  }
  if (chain.tls === undefined) return undefined
  if (call.tls === 'plaintext') return refused(notOfMesh(call, mtls))
  if (call.tls === 'tls' && chain.tls.requireClientCertificate) {
    return refused(`no certificate of the mesh is shown: ${mtls.mode} mutual TLS`)
  }
  return strangerRefusal(chain, call, refused)
}

function notOfMesh({ tls }: Call, { because }: MutualTls): string {
  return tls === 'tls' ? `TLS without a certificate of the mesh: ${because}` : because
}

/** The certificate must be of the mesh. */
function strangerRefusal(
  { tls }: FilterChain,
  { source }: Call,
  refused: (because: string) => Authorization,
): Authorization | undefined {
  const names = tls?.subjectAltNames ?? []
  const principal = source?.principal
  if (names.length === 0 || principal === undefined) return undefined
  const fits = names.some(({ value }) => new TextMatcher(value, 'names').matches(principal))
  const parsed = parseSpiffeId(principal)
  const domain = parsed.ok ? parsed.id.trustDomain : principal
  return fits ? undefined : refused(`trust domain ${domain} is not of this mesh`)
}

/** What guards see of a call. */
export function accessCall(call: Call, port: number, ownAddress: string | undefined): AccessCall {
  const isBytes = call.protocol === 'tcp'
  const principal = call.tls === 'mtls' ? call.source?.principal : undefined
  const scheme: RequestView['scheme'] = call.tls === 'plaintext' ? 'http' : 'https'
  return {
    sourceIp: call.sourceIp,
    destinationIp: call.destination?.ip ?? ownAddress ?? call.address,
    destinationPort: port,
    ...(call.sni === '' ? {} : { serverName: call.sni }),
    ...(principal === undefined ? {} : { principals: [principal] }),
    ...(call.claims === undefined ? {} : { claims: call.claims }),
    ...(call.token === undefined ? {} : { token: call.token }),
    ...(isBytes
      ? {}
      : {
          request: {
            method: call.method,
            scheme,
            authority: call.host,
            path: call.path,
            fields: call.fieldLines,
          },
        }),
  }
}

function authorizationOf(judgement: Judgement, { name }: Destination, call: Call): Authorization {
  const principal = call.tls === 'mtls' ? call.source?.principal : undefined
  return { ...rendered(judgement, principal), at: name }
}

const POLICY = /^(?:istio-ext-authz-(.*)-)?ns\[([^\]]*)\]-policy\[([^\]]*)\]-rule\[(\d+)\]$/

function rendered(judgement: Judgement, principal: string | undefined): Authorization {
  const { decision, status, details, notes } = judgement
  const { provider, ...named } = policyOf(judgement)
  const isNobody = principal === undefined && status === 403 && judgement.policy === undefined
  const because = reasonOf(judgement, provider)
  return {
    ...named,
    decision: decision === 'ask' ? 'custom' : decision,
    because: isNobody ? `${because} (the caller shows no identity)` : because,
    status: status ?? null,
    details: details ?? null,
    provider: decision === 'ask' ? (provider ?? null) : null,
    at: null,
    notes,
  }
}

function policyOf({ policy = '', origins }: Judgement): Pick<
  Authorization,
  'policy' | 'rule' | 'kind' | 'origin'
> & {
  readonly provider: string | undefined
} {
  const [, provider, namespace, name, rule] = POLICY.exec(policy) ?? []
  const places = [...new Set(origins.flatMap((one) => whereOf(one) ?? []))]
  if (namespace === undefined || rule === undefined) {
    const origin = places.length === 0 ? null : places.join(', ')
    return { policy: null, rule: null, kind: null, origin, provider }
  }
  return {
    policy: `${namespace}/${name}`,
    rule: Number(rule),
    kind: 'AuthorizationPolicy',
    origin: places[0] ?? null,
    provider,
  }
}

function reasonOf({ decision, because }: Judgement, provider: string | undefined): string {
  if (decision === 'ask')
    return `decided by provider ${provider ?? 'that is asked'}; all else allows it`
  if (provider === undefined || decision === 'allow') return because
  return `provider ${provider} would have to be asked and is not known`
}

/** Several workloads answer for one service: a refusal by one of them is what somebody will see. */
export function strictest(answers: readonly AccessAnswer[]): AccessAnswer | undefined {
  const order = ['deny', 'custom', 'allow'] as const
  const [first] = answers.toSorted(
    (a, b) => order.indexOf(a.authorization.decision) - order.indexOf(b.authorization.decision),
  )
  if (first === undefined || answers.length === 1) return first
  const same = answers.filter(
    ({ authorization }) => authorization.decision === first.authorization.decision,
  ).length
  if (same === answers.length) return first
  const note = `${same} of ${answers.length} workloads behind it answer so, e.g. ${first.authorization.at}`
  const notes = [...first.authorization.notes, note]
  return { ...first, authorization: { ...first.authorization, notes } }
}

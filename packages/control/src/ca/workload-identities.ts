/**
 * What workloads get from the control plane besides certificates: JWT-SVIDs, and the bundles of all
 * trust domains that the mesh believes, as they change.
 */
import { type Clock, contentHash, type Logger } from '@weft/base'
import { renderSpiffeBundle } from '@weft/identity'
import { renderSpiffeId } from '@weft/model'
import type {
  BundleAcknowledgement,
  BundleNews,
  BundleWatch,
  IdentityService,
  JwtAnswer,
  JwtQuestion,
  XdsPeer,
} from '@weft/xds'
import { CallLimits } from './call-limits.ts'
import type { ConnectedHolder } from './holders.ts'
import type { MeshCa } from './mesh-ca.ts'

export interface WorkloadIdentitiesDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Bundle documents of other trust domains, by name. */
  readonly foreign?: () => ReadonlyMap<string, string>
}

interface Watcher {
  readonly send: (news: BundleNews) => void
  said: BundleAcknowledgement | undefined
}

const MAX_AUDIENCES = 32
const MAX_AUDIENCE_CHARS = 2_048
/** Tokens per identity. */
const LIMITS = { burst: 1_000, perSecond: 100 }

export class WorkloadIdentities implements IdentityService {
  readonly #ca: MeshCa
  readonly #deps: WorkloadIdentitiesDeps
  readonly #limits: CallLimits
  readonly #watchers = new Set<Watcher>()
  #news: BundleNews | undefined

  constructor(ca: MeshCa, deps: WorkloadIdentitiesDeps) {
    this.#ca = ca
    this.#deps = deps
    this.#limits = new CallLimits(LIMITS, () => deps.clock.monotonicMs())
  }

  async issueJwt(question: JwtQuestion, peer: XdsPeer): Promise<JwtAnswer> {
    const { audiences, validitySeconds, metadata } = question
    const problem = audienceProblem(audiences)
    if (problem !== undefined) return { ok: false, code: 'invalidArgument', problem }
    const proved = await this.#ca.prove(peer, metadata)
    if (!proved.ok) return proved
    const identity = renderSpiffeId(proved.id)
    if (!this.#limits.take(identity)) {
      const code = 'resourceExhausted'
      return { ok: false, code, problem: `too many tokens for ${identity}` }
    }
    const lifetimeMs = validitySeconds > 0 ? validitySeconds * 1_000 : undefined
    const outcome = this.#ca.issueJwt(proved.id, audiences, lifetimeMs)
    if (!outcome.ok) return { ok: false, code: 'unavailable', problem: outcome.problem }
    const { svid } = outcome
    const notAfter = new Date(svid.notAfterMs).toISOString()
    this.#deps.log.info('token issued', { identity, by: proved.by, audiences, notAfter })
    return { ok: true, reply: svid }
  }

  watchBundles(send: (news: BundleNews) => void, peer: XdsPeer): BundleWatch {
    const watcher: Watcher = { send, said: undefined }
    // Who is known by certificate speaks for that identity only; who is not is of this machine.
    const known = peer.isTls ? this.#ca.identify(peer) : undefined
    const own = known?.ok === true ? renderSpiffeId(known.id) : undefined
    this.#watchers.add(watcher)
    return {
      acknowledge: (said) => {
        if (own !== undefined && said.identity !== own) return `you are ${own}`
        const isFirst = watcher.said === undefined
        watcher.said = said
        if (isFirst) this.#sendTo(watcher)
        else this.#ca.acknowledged()
        return undefined
      },
      end: () => this.#watchers.delete(watcher),
    }
  }

  /** The mesh's bundle, or one of another trust domain, is another now. */
  changed(): void {
    const news = this.#read()
    if (news === undefined || news.version === this.#news?.version) return
    this.#news = news
    for (const watcher of this.#watchers) if (watcher.said !== undefined) watcher.send(news)
  }

  /** Those that hold certificates, and have to know a new root before the old one goes. */
  holders(): readonly ConnectedHolder[] {
    const version = this.#news?.version
    return [...this.#watchers].flatMap(({ said }) => {
      if (said === undefined || said.identity === '') return []
      const { nodeId, identity } = said
      return [{ nodeId, identity, takesBundle: true, hasBundle: said.version === version }]
    })
  }

  #sendTo({ send, said }: Watcher): void {
    this.#news ??= this.#read()
    if (this.#news !== undefined && said?.version !== this.#news.version) send(this.#news)
  }

  #read(): BundleNews | undefined {
    const own = this.#ca.spiffeBundle
    if (own === undefined) return undefined
    const { trustDomain } = own
    const documents = new Map(this.#deps.foreign?.() ?? [])
    documents.set(trustDomain, renderSpiffeBundle(own))
    return { version: contentHash(JSON.stringify([...documents])), trustDomain, documents }
  }
}

function audienceProblem(audiences: readonly string[]): string | undefined {
  if (audiences.length === 0) return 'a token needs an audience'
  if (audiences.length > MAX_AUDIENCES) return `a token has at most ${MAX_AUDIENCES} audiences`
  const isBad = audiences.some((one) => one === '' || one.length > MAX_AUDIENCE_CHARS)
  return isBad ? `an audience has 1 to ${MAX_AUDIENCE_CHARS} characters` : undefined
}

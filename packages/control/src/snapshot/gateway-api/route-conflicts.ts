/**
 * HTTPRoutes and GRPCRoutes do not share a host name of a listener: of two that do
 * the one of higher precedence is accepted, and the parent of the other says why not.
 */
import { intersectHosts } from '../hosts.ts'
import type { JudgedListener } from './listeners.ts'
import type { AcceptedParent, Verdict } from './parents.ts'
import type { RouteDocument } from './route-kinds.ts'

interface Claim {
  readonly document: RouteDocument
  readonly hosts: readonly string[]
}

/** Ask for routes in order of precedence: what one is given the next ones cannot have. */
export class RouteClaims {
  readonly #byListener = new Map<JudgedListener, Claim[]>()

  /** The verdict without listeners where the other kind has a host name already. */
  claim(document: RouteDocument, verdict: Verdict): Verdict {
    if (document.type !== 'HTTPRoute' && document.type !== 'GRPCRoute') return verdict
    let rival: RouteDocument | undefined
    const parents = verdict.parents.filter((parent) => {
      const found = this.#rivalOf(document, parent)
      rival ??= found
      return found === undefined
    })
    for (const parent of parents) {
      if (parent.kind !== 'gateway') continue
      const claims = this.#byListener.get(parent.listener) ?? []
      claims.push({ document, hosts: parent.hosts })
      this.#byListener.set(parent.listener, claims)
    }
    if (rival === undefined || parents.length > 0) return { ...verdict, parents }
    const { namespace, name } = rival.metadata
    const message = `${rival.type} ${namespace}/${name} has a host name of the route on the same listener, and goes before it`
    return {
      parents,
      condition: { type: 'Accepted', status: false, reason: 'HostnameConflict', message },
    }
  }

  #rivalOf(document: RouteDocument, parent: AcceptedParent): RouteDocument | undefined {
    if (parent.kind !== 'gateway') return undefined
    const claims = this.#byListener.get(parent.listener) ?? []
    return claims.find(
      (claim) =>
        claim.document.type !== document.type &&
        claim.hosts.some((one) =>
          parent.hosts.some((own) => intersectHosts(one, own) !== undefined),
        ),
    )?.document
  }
}

/**
 * A workload's identity for the workload itself, put together:
 *
 *     WorkloadIdentity ── certificate ──┐
 *     BundleFeed ── trust bundles ──────┼──► Workload API, SDS (a Unix socket)
 *     JwtSvids ── tokens, on demand ────┘
 */

import { createPrivateKey } from 'node:crypto'
import type { Clock, Logger } from '@weft/base'
import { readPem, renderJwtKeySet, type SpiffeBundle, writePem } from '@weft/identity'
import { parseSpiffeId, type Secret, type TrustDomainRoots } from '@weft/model'
import { serveWorkload, type WorkloadApi, type WorkloadSource, type WorkloadState } from '@weft/xds'
import { MESH_ROOTS, OWN_CERTIFICATE } from '../local-secrets.ts'
import type { Svid } from '../svid.ts'
import type { WorkloadIdentity } from '../workload-identity.ts'
import { BundleFeed, type TrustedBundles } from './bundle-feed.ts'
import type { ControlTarget } from './control-call.ts'
import { JwtSvids } from './jwt-svids.ts'
import { verifyJwtSvid } from './verify-jwt-svid.ts'

export interface ServedIdentityOptions {
  readonly connect: ControlTarget
  /** The certificate is shown there, and the other's judged. */
  readonly isTls: boolean
  readonly nodeId: string
}

export interface ServedIdentityDeps {
  readonly clock: Clock
  readonly random: () => number
  readonly log: Logger
}

/** The certificate, whom it trusts, and whom the mesh trusts besides. */
export interface HeldIdentity {
  readonly svid: Svid
  readonly bundles: ReadonlyMap<string, SpiffeBundle>
}

export class ServedIdentity {
  readonly #identity: WorkloadIdentity
  readonly #deps: ServedIdentityDeps
  readonly #feed: BundleFeed
  readonly #jwts: JwtSvids
  readonly #listeners = new Set<() => void>()
  readonly #stopHearing: () => void
  #bundles: TrustedBundles | undefined
  #knownAs: string | undefined

  constructor(
    identity: WorkloadIdentity,
    { connect: target, isTls, nodeId }: ServedIdentityOptions,
    deps: ServedIdentityDeps,
  ) {
    this.#identity = identity
    this.#deps = deps
    const svid = () => identity.svid
    this.#feed = new BundleFeed(
      { target, isTls, nodeId },
      { ...deps, svid, onBundles: (bundles) => this.#trust(bundles) },
    )
    this.#jwts = new JwtSvids({ clock: deps.clock, target, isTls, svid })
    this.#stopHearing = identity.onChange(() => this.#renewed())
  }

  start(): Promise<void> {
    this.#knownAs = this.#identity.svid?.id
    return this.#feed.start()
  }

  onChange(changed: () => void): () => void {
    this.#listeners.add(changed)
    return () => this.#listeners.delete(changed)
  }

  /** `undefined` as long as there is none that is still good. */
  get held(): HeldIdentity | undefined {
    const { svid } = this.#identity
    if (svid === undefined || svid.notAfterMs <= this.#deps.clock.nowMs()) return undefined
    return { svid, bundles: bundlesOf(svid, this.#bundles) }
  }

  /** @param path Of the Unix socket. */
  openApi(path: string): Promise<WorkloadApi> {
    const { clock, log } = this.#deps
    return serveWorkload(path, this.#source(), { clock, log, secrets: () => this.#secrets() })
  }

  close(): void {
    this.#stopHearing()
    this.#feed.close()
    this.#listeners.clear()
  }

  #trust(bundles: TrustedBundles): void {
    this.#bundles = bundles
    const own = bundles.byTrustDomain.get(bundles.trustDomain)
    if (own !== undefined) this.#identity.trust(pemOf(own.roots))
    this.#tell()
  }

  #renewed(): void {
    const { id } = this.#identity.svid ?? {}
    if (id !== this.#knownAs) {
      this.#knownAs = id
      this.#feed.reconnect()
    }
    this.#tell()
  }

  #tell(): void {
    for (const changed of [...this.#listeners]) changed()
  }

  #source(): WorkloadSource {
    return {
      state: () => this.#state(),
      onChange: (changed) => this.onChange(changed),
      fetchJwt: async (audiences, id) => {
        const own = this.#identity.svid?.id
        if (id === '' || id === own) return this.#jwts.fetch(audiences)
        return { ok: false, code: 'permissionDenied', problem: `you are ${own}, not ${id}` }
      },
      validateJwt: (audience, token) => {
        const bundles = this.held?.bundles ?? new Map<string, SpiffeBundle>()
        return verifyJwtSvid(token, audience, bundles, this.#deps.clock.nowMs())
      },
    }
  }

  #state(): WorkloadState {
    const { held } = this
    if (held === undefined) {
      const { state, problem } = this.#identity.status()
      if (problem === undefined && state !== 'absent') return { kind: 'waiting' }
      return { kind: 'none', problem: `no identity was issued: ${problem ?? 'nobody gives any'}` }
    }
    const { svid, bundles } = held
    const x509 = new Map([...bundles].map(([name, { roots }]) => [name, Buffer.concat([...roots])]))
    return {
      kind: 'ready',
      svid: {
        id: svid.id,
        chain: Buffer.concat(readPem(svid.chainPem, 'CERTIFICATE')),
        key: createPrivateKey(svid.keyPem).export({ type: 'pkcs8', format: 'der' }),
      },
      bundles: { trustDomain: trustDomainOf(svid), x509, jwt: this.#keySets(bundles) },
    }
  }

  #keySets(bundles: ReadonlyMap<string, SpiffeBundle>): ReadonlyMap<string, string> {
    return new Map([...bundles].map(([name, bundle]) => [name, renderJwtKeySet(bundle)]))
  }

  #secrets(): ReadonlyMap<string, Secret> {
    const { held } = this
    if (held === undefined) return new Map()
    const { chainPem, keyPem, rootsPem: caPem } = held.svid
    const secrets: Secret[] = [
      { kind: 'certificate', name: OWN_CERTIFICATE, chainPem, keyPem },
      { kind: 'validation', name: MESH_ROOTS, caPem, ...trustDomainsOf(held) },
    ]
    return new Map(secrets.map((secret) => [secret.name, secret]))
  }
}

/** Of the own trust domain what the certificate's roots are, as long as nobody said more. */
function bundlesOf(
  svid: Svid,
  told: TrustedBundles | undefined,
): ReadonlyMap<string, SpiffeBundle> {
  const trustDomain = trustDomainOf(svid)
  const own = told?.byTrustDomain.get(trustDomain)
  const roots = readPem(svid.rootsPem, 'CERTIFICATE')
  const bundles = new Map(told?.byTrustDomain)
  bundles.set(trustDomain, { trustDomain, jwtKeys: own?.jwtKeys ?? [], roots })
  return bundles
}

/** Each root vouches for its own trust domain alone, where there are several. */
function trustDomainsOf({ svid, bundles }: HeldIdentity): {
  readonly trustDomains?: readonly TrustDomainRoots[]
} {
  if (bundles.size < 2) return {}
  const own = trustDomainOf(svid)
  const others = [...bundles.values()]
    .filter(({ trustDomain }) => trustDomain !== own)
    .map(({ trustDomain, roots }) => ({ trustDomain, caPem: pemOf(roots) }))
  return { trustDomains: [{ trustDomain: own, caPem: svid.rootsPem }, ...others] }
}

function trustDomainOf({ id }: Svid): string {
  const parsed = parseSpiffeId(id)
  return parsed.ok ? parsed.id.trustDomain : ''
}

function pemOf(roots: readonly Buffer[]): string {
  return roots.map((der) => writePem('CERTIFICATE', der)).join('')
}

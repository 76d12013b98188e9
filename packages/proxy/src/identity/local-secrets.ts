/**
 * The secrets that a proxy has from itself, between the feed and whoever applies configurations:
 *
 *     feed ──► set ──► + default, ROOTCA ──► applied
 *                          ▲
 *     identity ── a new certificate: the same set again, with it
 *
 * `default` is this proxy's own key and certificate; `ROOTCA` is what peers must chain to: the
 * control plane's newest word, else what came with the certificate.
 */
import type { ResourceSet, Secret, TrustDomainRoots } from '@weft/model'
import type { ResourceSinkDeps, ResourceUpdate } from '@weft/xds'
import type { Svid } from './svid.ts'
import type { WorkloadIdentity } from './workload-identity.ts'

/** Istio's names. */
export const OWN_CERTIFICATE = 'default'
export const MESH_ROOTS = 'ROOTCA'

interface LocalSecrets {
  readonly certificate: Secret
  readonly roots: Secret
}

export function withLocalSecrets<Deps extends ResourceSinkDeps>(
  deps: Deps,
  identity: WorkloadIdentity | undefined,
): Deps {
  if (identity === undefined) return deps
  let newest: ResourceUpdate | undefined
  let made:
    | { readonly svid: Svid; readonly told: Secret | undefined; readonly secrets: LocalSecrets }
    | undefined
  const merged = (update: ResourceUpdate): ResourceUpdate => {
    const told = update.set.secret.get(MESH_ROOTS)
    if (told?.kind === 'validation') identity.trust(told.caPem)
    const { svid } = identity
    if (svid === undefined) return update
    if (made?.svid !== svid || made.told !== told) {
      made = { svid, told, secrets: secretsOf(svid, told, made?.secrets) }
    }
    const { certificate, roots } = made.secrets
    const secret = new Map(update.set.secret)
    secret.set(OWN_CERTIFICATE, certificate)
    secret.set(MESH_ROOTS, roots)
    const set: ResourceSet = { ...update.set, secret }
    return { ...update, set }
  }
  identity.onChange(() => {
    if (newest !== undefined) void deps.onUpdate(merged(newest))
  })
  return {
    ...deps,
    localSecrets: [OWN_CERTIFICATE],
    // Who calls nobody and serves nobody yet would hold a rotation up for ever.
    standingSecrets: [MESH_ROOTS],
    identity,
    async onUpdate(update: ResourceUpdate) {
      newest = update
      if (identity.svid === undefined) await identity.soon()
      // What came meanwhile is newer.
      await deps.onUpdate(merged(newest))
    },
  }
}

/** What did not change is the same object, so that no handshake is prepared anew for nothing. */
function secretsOf(
  svid: Svid,
  told: Secret | undefined,
  before: LocalSecrets | undefined,
): LocalSecrets {
  const { chainPem, keyPem, rootsPem: caPem } = svid
  const trustDomains = trustDomainsOf(told, caPem)
  const { certificate, roots } = before ?? {}
  return {
    certificate:
      certificate?.kind === 'certificate' && certificate.chainPem === chainPem
        ? certificate
        : { kind: 'certificate', name: OWN_CERTIFICATE, chainPem, keyPem },
    roots:
      roots?.kind === 'validation' &&
      roots.caPem === caPem &&
      JSON.stringify(roots.trustDomains) === JSON.stringify(trustDomains)
        ? roots
        : {
            kind: 'validation',
            name: MESH_ROOTS,
            caPem,
            ...(trustDomains === undefined ? {} : { trustDomains }),
          },
  }
}

/** As told, the own ones with the root that the certificate came with. */
function trustDomainsOf(
  told: Secret | undefined,
  caPem: string,
): readonly TrustDomainRoots[] | undefined {
  if (told?.kind !== 'validation' || told.trustDomains === undefined) return undefined
  const [own, ...others] = told.trustDomains
  return own === undefined ? undefined : [{ ...own, caPem }, ...others]
}

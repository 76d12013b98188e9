/**
 * Other names of the mesh's trust domain: a policy that names one of them means them all, so that
 * a mesh can change its name (Istio's trust domain migration). `cluster.local` always means the
 * mesh's own.
 */

const OWN = 'cluster.local'

/**
 * @param principal `<trust domain>/ns/<namespace>/sa/<account>`, perhaps with a star at an end.
 * @param trustDomains The mesh's own and its aliases.
 */
export function aliasedPrincipal(
  principal: string,
  trustDomains: readonly string[],
): readonly string[] {
  const slash = principal.indexOf('/')
  if (slash === -1) return [principal]
  const rest = principal.slice(slash)
  return aliasedTrustDomain(principal.slice(0, slash), trustDomains).map((one) => `${one}${rest}`)
}

/** `*` names none in particular and stays. */
export function aliasedTrustDomain(
  domain: string,
  trustDomains: readonly string[],
): readonly string[] {
  if (domain === '*') return [domain]
  const isOwn = trustDomains.some((one) => isNamedBy(domain, one)) || domain === OWN
  if (!isOwn) return [domain]
  // A pattern that fits a domain stays as it is for that one.
  return [...new Set(trustDomains.map((one) => (isSuffixOf(domain, one) ? domain : one)))]
}

function isNamedBy(pattern: string, domain: string): boolean {
  if (pattern.endsWith('*')) return domain.startsWith(pattern.slice(0, -1))
  return pattern === domain || isSuffixOf(pattern, domain)
}

function isSuffixOf(pattern: string, domain: string): boolean {
  return pattern.startsWith('*') && domain.endsWith(pattern.slice(1))
}

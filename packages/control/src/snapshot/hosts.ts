/** Host names as configuration writes them: short names, wildcards, how specific they are. */

/**
 * The fully qualified form of a host that an object in `namespace` names. Only a
 * name without dots is short (Istio's rule): `reviews` becomes
 * `reviews.default.svc.cluster.local`; `reviews.prod` is taken as it is.
 */
export function resolveHost(host: string, namespace: string, domain: string): string {
  const lower = host.toLowerCase()
  return lower.includes('.') || lower.includes('*') || lower.includes(':') || lower === ''
    ? lower
    : `${lower}.${namespace}.svc.${domain}`
}

/** True when every name that `inner` stands for is one that `outer` stands for. */
export function covers(outer: string, inner: string): boolean {
  if (outer === inner || outer === '*') return true
  if (!outer.startsWith('*')) return false
  const suffix = outer.slice(1)
  return inner.length > suffix.length && inner.endsWith(suffix) && inner !== suffix.slice(1)
}

/** The names that both stand for, or `undefined` when there is none. */
export function intersectHosts(a: string, b: string): string | undefined {
  if (covers(a, b)) return b
  return covers(b, a) ? a : undefined
}

/** Sorts more specific hosts first: exact, then longer wildcards, then `*`. */
export function compareHosts(a: string, b: string): number {
  const wildA = a.startsWith('*')
  const wildB = b.startsWith('*')
  if (wildA !== wildB) return wildA ? 1 : -1
  if (wildA && a.length !== b.length) return b.length - a.length
  return a < b ? -1 : a > b ? 1 : 0
}

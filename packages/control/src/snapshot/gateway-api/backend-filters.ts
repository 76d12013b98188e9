/**
 * Filters of single backends. Headers and host are changed per backend; path,
 * redirect and mirror are of the whole route (as in Envoy), so they hold only
 * where every request of the rule gets the same: with one backend, or when all
 * backends ask for the same.
 */
import { isDeepStrictEqual } from 'node:util'
import type { HttpBackendRef, HttpRouteFilter, HttpRouteRuleSpec } from '@weft/config'

/** Those that the rule as a whole carries out. */
export function liftedFilters(rule: HttpRouteRuleSpec): readonly HttpRouteFilter[] {
  const [first, ...rest] = usedRefs(rule).map((ref) => (ref.filters ?? []).filter(isOfWholeRoute))
  if (first === undefined) return []
  return rest.every((other) => isDeepStrictEqual(other, first)) ? first : []
}

/** Cannot be honoured for this backend: its requests must not go on as if nothing had been asked. */
export function hasUnusableFilter(rule: HttpRouteRuleSpec, ref: HttpBackendRef): boolean {
  const filters = ref.filters ?? []
  if (filters.some(isUnsupported)) return true
  const ofRoute = filters.filter(isOfWholeRoute)
  return ofRoute.length > 0 && !isDeepStrictEqual(ofRoute, liftedFilters(rule))
}

export function isUnsupported({ type }: HttpRouteFilter): boolean {
  return type === 'ExtensionRef' || type === 'ExternalAuth'
}

/** JSON paths of what cannot be honoured. */
export function unusableFilters(rules: readonly HttpRouteRuleSpec[]): readonly string[] {
  return rules.flatMap((rule, i) => [
    ...((rule.filters ?? []).some(isUnsupported) ? [`spec.rules[${i}].filters`] : []),
    ...(rule.backendRefs ?? []).flatMap((ref, j) =>
      ref.weight > 0 && hasUnusableFilter(rule, ref)
        ? [`spec.rules[${i}].backendRefs[${j}].filters`]
        : [],
    ),
  ])
}

/** A backend without weight gets no requests. */
export function usedRefs(rule: HttpRouteRuleSpec): readonly HttpBackendRef[] {
  return (rule.backendRefs ?? []).filter(({ weight }) => weight > 0)
}

function isOfWholeRoute({ urlRewrite, requestRedirect, requestMirror, cors }: HttpRouteFilter) {
  return (
    urlRewrite?.path !== undefined ||
    requestRedirect !== undefined ||
    requestMirror !== undefined ||
    cors !== undefined
  )
}

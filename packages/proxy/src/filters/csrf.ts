/**
 * Cross-site request forgery: requests that change something must come from pages of their own
 * site (Envoy's csrf filter). What a browser says of the page is `origin`, else `referer`.
 */
import type { RequestView } from '@weft/model'
import { TextMatcher } from '@weft/traffic'
import type { BindFilter, FilterScope, FilterVerdict } from './http-filter.ts'

const CHANGING = new Set(['POST', 'PUT', 'DELETE', 'PATCH'])

export const csrf: BindFilter<'csrf'> = (config, scope) => {
  const policy = scope.overrides.csrf ?? config.policy
  if (policy === undefined || (policy.enabledPercent <= 0 && policy.shadowPercent <= 0)) {
    return undefined
  }
  const others = policy.additionalOrigins.map((match) => new TextMatcher(match, 'csrf origins'))
  const { random } = scope.deps
  const stats = statsOf(scope)
  return {
    onRequest({ request }): FilterVerdict {
      if (!CHANGING.has(request.method)) return undefined
      const isEnforced = hits(policy.enabledPercent, random)
      // What is only watched is counted as if it were enforced.
      if (!isEnforced && !hits(policy.shadowPercent, random)) return undefined
      const source = sourceOf(request)
      const isTrusted =
        source !== '' &&
        (source === request.authority || others.some((matcher) => matcher.matches(source)))
      if (source === '') stats?.missing()
      if (isTrusted) stats?.valid()
      else if (source !== '') stats?.invalid()
      if (isTrusted || !isEnforced) return undefined
      const reply = { status: 403, body: 'Invalid origin' }
      return { kind: 'reply', reply, details: 'csrf_origin_mismatch' }
    },
  }
}

function statsOf({ deps: { filterStats }, runtime }: FilterScope) {
  if (filterStats === undefined) return undefined
  const counter = (leaf: string) =>
    filterStats.counter({ kind: 'http', name: runtime.manager.statPrefix }, `csrf.${leaf}`)
  return {
    missing: counter('missing_source_origin'),
    valid: counter('request_valid'),
    invalid: counter('request_invalid'),
  }
}

function hits(percent: number, random: () => number): boolean {
  return percent >= 100 || random() * 100 < percent
}

function sourceOf(request: RequestView): string {
  const origin = hostAndPort(request.header('origin') ?? '')
  return origin === '' ? hostAndPort(request.header('referer') ?? '') : origin
}

/** As it was sent: `https://a.example:443/x` is `a.example:443`; what is no URL stays itself. */
function hostAndPort(text: string): string {
  const match = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text)
  const authority = match?.[1]
  if (authority === undefined) return text
  return authority.slice(authority.lastIndexOf('@') + 1)
}

/**
 * Cross-site request forgery: requests that change something must come from pages of their own
 * site (Envoy's csrf filter). What a browser says of the page is `origin`, else `referer`.
 */
import type { CsrfPolicy, RequestView } from '@weft/model'
import { TextMatcher } from '@weft/traffic'
import type { BindFilter, FilterVerdict } from './http-filter.ts'

const CHANGING = new Set(['POST', 'PUT', 'DELETE', 'PATCH'])

export const csrf: BindFilter<'csrf'> = (config, { overrides, deps }) => {
  const policy = overrides.csrf ?? config.policy
  if (policy === undefined || policy.enabledPercent <= 0) return undefined
  const others = policy.additionalOrigins.map((match) => new TextMatcher(match, 'csrf origins'))
  return {
    onRequest({ request }): FilterVerdict {
      if (!CHANGING.has(request.method) || !isChecked(policy, deps.random)) return undefined
      const source = sourceOf(request)
      const trusted =
        source !== '' &&
        (source === request.authority || others.some((matcher) => matcher.matches(source)))
      if (trusted) return undefined
      const reply = { status: 403, body: 'Invalid origin' }
      return { kind: 'reply', reply, details: 'csrf_origin_mismatch' }
    },
  }
}

function isChecked({ enabledPercent }: CsrfPolicy, random: () => number): boolean {
  return enabledPercent >= 100 || random() * 100 < enabledPercent
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

/** Istio's `StringMatch` in the places where it stands. */
import type { StringMatch as IstioMatch } from '@weft/config'
import type { StringMatch } from '@weft/model'

/** `undefined` when nothing but presence is asked for: no match at all, or an empty text. */
export function stringMatch(match: IstioMatch): StringMatch | undefined {
  if (match.exact !== undefined && match.exact !== '') {
    return { kind: 'exact', value: match.exact, ignoreCase: false }
  }
  if (match.prefix !== undefined && match.prefix !== '') {
    return { kind: 'prefix', value: match.prefix, ignoreCase: false }
  }
  if (match.regex !== undefined && match.regex !== '') return { kind: 'regex', value: match.regex }
  return undefined
}

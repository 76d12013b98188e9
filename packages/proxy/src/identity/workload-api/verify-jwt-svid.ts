/** Whether a token is a JWT-SVID of somebody whom the mesh believes (SPIFFE, JWT-SVID.md, § 4 and 5). */
import type { SpiffeBundle } from '@weft/identity'
import { parseSpiffeId } from '@weft/model'
import { type KeySet, parseJwt, parseKeySet, tokenProblemText, verifyJwt } from '@weft/traffic'
import type { ValidatedJwt } from '@weft/xds'

/** No other algorithm is one of a JWT-SVID. */
const ALGORITHMS = /^(RS|ES|PS)(256|384|512)$/
const TYPES: readonly unknown[] = [undefined, 'JWT', 'JOSE']

/** @param nowMs Wall clock. */
export function verifyJwtSvid(
  token: string,
  audience: string,
  bundles: ReadonlyMap<string, Pick<SpiffeBundle, 'jwtKeys'>>,
  nowMs: number,
): ValidatedJwt {
  const parsed = parseJwt(token)
  if (!parsed.ok) return refused(tokenProblemText(parsed.problem))
  const { jwt } = parsed
  if (!ALGORITHMS.test(jwt.alg)) return refused(`JWT-SVIDs are not signed with ${jwt.alg}`)
  if (!TYPES.includes(typeOf(token))) return refused('its typ is neither JWT nor JOSE')
  const { sub } = jwt.payload
  const named = parseSpiffeId(typeof sub === 'string' ? sub : '')
  if (!named.ok) return refused(`its subject is no SPIFFE ID: ${named.problem}`)
  const bundle = bundles.get(named.id.trustDomain)
  if (bundle === undefined) return refused(`nobody is trusted for ${named.id.trustDomain}`)
  // Its key belongs to the trust domain of its subject; who issued it does not matter.
  const provider = { issuer: '', audiences: [audience], clockSkewMs: 0, spaceDelimitedClaims: [] }
  const verified = verifyJwt({ ...jwt, issuer: '' }, provider, keysOf(bundle), nowMs)
  if (!verified.ok) return refused(tokenProblemText(verified.problem))
  return { ok: true, id: String(sub), claims: jwt.payload }
}

/** SPIFFE's `use` says what a key is for in its words; the set is for nothing else here. */
function keysOf({ jwtKeys }: Pick<SpiffeBundle, 'jwtKeys'>): KeySet['keys'] {
  const plain = jwtKeys.map(({ use: _use, ...key }) => key)
  try {
    return parseKeySet(JSON.stringify({ keys: plain })).keys
  } catch {
    // A foreign bundle may have none that can be used.
    return []
  }
}

/** Of a token that was parsed. */
function typeOf(token: string): unknown {
  const [head = ''] = token.split('.')
  return (JSON.parse(Buffer.from(head, 'base64url').toString('utf8')) as { typ?: unknown }).typ
}

function refused(problem: string): ValidatedJwt {
  return { ok: false, problem }
}

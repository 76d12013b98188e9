/** Whose a token is, and which ones nobody's are. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseKeySet } from '@weft/traffic'
import { testIssuer } from './test-tokens.ts'
import { judgeToken, type TokenIssuer, type TokenRules } from './token-judge.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const NOW = NOW_MS / 1_000
const ISSUER = testIssuer()
const SVID_ISSUER = testIssuer('ES256', 'svid')

function issuerOf(keySet: string, more: Partial<TokenIssuer> = {}): TokenIssuer {
  const keys = { keys: parseKeySet(keySet).keys, renew: () => Promise.resolve() }
  return { issuer: 'https://issuer', keys, audiences: ['broker'], takesEndless: false, ...more }
}

function rules(more: Partial<TokenRules> = {}): TokenRules {
  return {
    issuers: [issuerOf(ISSUER.keySet)],
    meshKeys: (domain) => (domain === 'mesh.example' ? parseKeySet(SVID_ISSUER.keySet).keys : []),
    audiences: ['weft-broker'],
    trustDomain: 'mesh.example',
    namespace: 'default',
    clockSkewMs: 1_000,
    isRevoked: () => false,
    ...more,
  }
}

const CLAIMS = { iss: 'https://issuer', aud: 'broker', sub: 'cart', exp: NOW + 60 }
const SVID = { sub: 'spiffe://mesh.example/ns/shop/sa/cart', aud: ['weft-broker'], exp: NOW + 60 }

async function problemOf(token: string, more: Partial<TokenRules> = {}): Promise<string> {
  const judged = await judgeToken(token, rules(more), NOW_MS)
  assert.ok(!judged.ok, 'it was taken')
  return judged.problem
}

async function principalOf(token: string, more: Partial<TokenRules> = {}): Promise<string> {
  const judged = await judgeToken(token, rules(more), NOW_MS)
  assert.ok(judged.ok, judged.ok ? '' : judged.problem)
  return judged.principal
}

describe('tokens of SETUP', () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA'] as const) {
    test(`${alg}: a token of a configured issuer is a service account`, async () => {
      const issuer = testIssuer(alg)
      const issuers = [issuerOf(issuer.keySet)]
      const namespaced = issuer.token({ ...CLAIMS, namespace: 'shop' })
      assert.equal(
        await principalOf(namespaced, { issuers }),
        'spiffe://mesh.example/ns/shop/sa/cart',
      )
      const other = testIssuer(alg).token(CLAIMS)
      assert.equal(await problemOf(other, { issuers }), 'Jwt verification fails')
    })
  }

  test('Kubernetes says namespace and account in sub', async () => {
    const token = ISSUER.token({ ...CLAIMS, sub: 'system:serviceaccount:shop:web' })
    assert.equal(await principalOf(token), 'spiffe://mesh.example/ns/shop/sa/web')
  })

  test('issuer, audience and times count', async () => {
    const cases = [
      [{ iss: 'https://other' }, 'Jwt issuer is not configured'],
      [{ aud: 'somebody' }, 'Audiences in Jwt are not allowed'],
      [{ exp: NOW - 2 }, 'Jwt is expired'],
      [{ exp: undefined }, 'Jwt has no expiration time'],
      [{ nbf: NOW + 2 }, 'Jwt not yet valid'],
    ] as const
    for (const [claims, problem] of cases) {
      assert.equal(await problemOf(ISSUER.token({ ...CLAIMS, ...claims })), problem)
    }
    assert.ok(await principalOf(ISSUER.token({ ...CLAIMS, exp: NOW - 0.5, nbf: NOW + 0.5 })))
  })

  test('names that fit into no identity are refused', async () => {
    const odd = ['', 'a/b', '..', 'ns/x/sa/y', 'spiffe://other.example/ns/shop/sa/cart', 7]
    for (const sub of odd) assert.match(await problemOf(ISSUER.token({ ...CLAIMS, sub })), /sub/)
    const outside = ISSUER.token({ ...CLAIMS, namespace: '../kube-system' })
    assert.match(await problemOf(outside), /namespace/)
  })

  test('a JWT-SVID is judged by the keys of its own trust domain and no others', async () => {
    assert.equal(await principalOf(SVID_ISSUER.token(SVID)), SVID.sub)
    const foreign = { ...SVID, sub: 'spiffe://other.example/ns/shop/sa/cart' }
    const noKey = "Jwks doesn't have key to match kid or alg from Jwt"
    assert.equal(await problemOf(SVID_ISSUER.token(foreign)), noKey)
    assert.equal(await problemOf(ISSUER.token(SVID)), noKey)
    assert.match(await problemOf(SVID_ISSUER.token({ ...SVID, aud: ['cart'] })), /Audiences/)
    const path = { ...SVID, sub: 'spiffe://mesh.example/control' }
    assert.match(await problemOf(SVID_ISSUER.token(path)), /no service account/)
  })

  test('revoked by jti, or by its hash', async () => {
    const token = ISSUER.token({ ...CLAIMS, jti: 'j7' })
    assert.equal(await problemOf(token, { isRevoked: (id) => id === 'j7' }), 'Jwt is revoked')
    const isHash = (id: string) => /^[0-9a-f]{64}$/.test(id)
    assert.equal(await problemOf(token, { isRevoked: isHash }), 'Jwt is revoked')
  })

  test("Alibaba's tokens without an end are taken only where that is said, claims and all", async () => {
    const token = ISSUER.token({
      ...{ iss: 'RSocketBroker', sub: 'app', aud: ['broker'], iat: NOW },
      ...{ sas: ['default'], orgs: ['1'] },
    })
    const of = (takesEndless: boolean) => ({
      issuers: [issuerOf(ISSUER.keySet, { issuer: 'RSocketBroker', takesEndless })],
    })
    assert.match(await problemOf(token, of(false)), /no expiration/)
    const judged = await judgeToken(token, rules(of(true)), NOW_MS)
    assert.ok(judged.ok)
    assert.deepEqual([judged.claims.sas, judged.claims.orgs], [['default'], ['1']])
    assert.equal(judged.expiresAtMs, Number.POSITIVE_INFINITY)
  })

  test('a key that nobody knows yet is asked for once', async () => {
    const next = testIssuer('ES256', 'k2')
    let keys = parseKeySet(ISSUER.keySet).keys
    let asked = 0
    const feed = {
      get keys() {
        return keys
      },
      renew() {
        asked++
        keys = parseKeySet(next.keySet).keys
        return Promise.resolve()
      },
    }
    const issuers = [issuerOf(ISSUER.keySet, { keys: feed })]
    assert.ok(await principalOf(next.token(CLAIMS), { issuers }))
    assert.equal(asked, 1)
  })
})

import assert from 'node:assert/strict'
import {
  constants,
  createHmac,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { parseKeySet } from './json-web-keys.ts'
import { parseJwt, type TokenProblem, tokenKey, verifyJwt } from './verify-token.ts'

const NOW_MS = Date.UTC(2026, 5, 1)
const NOW = NOW_MS / 1_000
const PROVIDER = {
  issuer: 'https://issuer.example',
  audiences: ['shop'],
  clockSkewMs: 60_000,
  spaceDelimitedClaims: ['scope'],
}
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ec384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const ec521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const ed = generateKeyPairSync('ed25519')

const jwkOf = (key: KeyObject, more: object = {}) => ({ ...key.export({ format: 'jwk' }), ...more })
const setOf = (...keys: readonly object[]) => parseKeySet(JSON.stringify({ keys })).keys
const KEYS = setOf(
  jwkOf(rsa.publicKey, { kid: 'rsa' }),
  jwkOf(ec.publicKey, { kid: 'ec' }),
  jwkOf(ec384.publicKey, { kid: 'ec384' }),
  jwkOf(ec521.publicKey, { kid: 'ec521' }),
  jwkOf(ed.publicKey, { kid: 'ed' }),
)
const CLAIMS = { iss: PROVIDER.issuer, aud: 'shop', sub: 'ann', exp: NOW + 600 }

const pack = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

type Header = Readonly<Record<string, unknown>>

function signatureOf(alg: string, text: string, key: KeyObject): Buffer {
  const data = Buffer.from(text)
  if (alg === 'EdDSA') return sign(null, data, key)
  const hash = `sha${alg.slice(2)}`
  if (alg.startsWith('ES')) return sign(hash, data, { key, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('PS')) {
    const padding = constants.RSA_PKCS1_PSS_PADDING
    return sign(hash, data, { key, padding, saltLength: constants.RSA_PSS_SALTLEN_DIGEST })
  }
  return sign(hash, data, key)
}

/** A token; `header` may say anything, the signature is by `by`. */
function tokenOf(
  claims: unknown = CLAIMS,
  header: Header = {},
  by: { readonly alg: string; readonly key: KeyObject } = { alg: 'ES256', key: ec.privateKey },
): string {
  const text = `${pack({ alg: by.alg, ...header })}.${pack(claims)}`
  return `${text}.${signatureOf(by.alg, text, by.key).toString('base64url')}`
}

function outcomeOf(
  text: string,
  provider = PROVIDER,
  keys = KEYS,
  nowMs = NOW_MS,
): TokenProblem | 'ok' {
  const parsed = parseJwt(text)
  if (!parsed.ok) return parsed.problem
  const verified = verifyJwt(parsed.jwt, provider, keys, nowMs)
  return verified.ok ? 'ok' : verified.problem
}

describe('a token is right', () => {
  const pairs = [
    ['RS256', rsa],
    ['RS384', rsa],
    ['RS512', rsa],
    ['PS256', rsa],
    ['PS384', rsa],
    ['PS512', rsa],
    ['ES256', ec],
    ['ES384', ec384],
    ['ES512', ec521],
    ['EdDSA', ed],
  ] as const
  for (const [alg, { privateKey }] of pairs) {
    test(`by ${alg}`, () => {
      assert.equal(outcomeOf(tokenOf(CLAIMS, {}, { alg, key: privateKey })), 'ok')
    })
  }

  test('and says who it is of', () => {
    const parsed = parseJwt(tokenOf({ ...CLAIMS, scope: 'read  write' }))
    assert.ok(parsed.ok)
    const verified = verifyJwt(parsed.jwt, PROVIDER, KEYS, NOW_MS)
    assert.ok(verified.ok)
    assert.deepEqual(verified.token, {
      issuer: PROVIDER.issuer,
      payload: { ...CLAIMS, scope: ['read', 'write'] },
    })
    assert.equal(verified.expiresAtMs, (NOW + 660) * 1_000)
  })

  test('for one of several audiences, or any when none is asked for', () => {
    assert.equal(outcomeOf(tokenOf({ ...CLAIMS, aud: ['other', 'shop'] })), 'ok')
    assert.equal(
      outcomeOf(tokenOf({ ...CLAIMS, aud: 'other' }), { ...PROVIDER, audiences: [] }),
      'ok',
    )
  })
})

const SECRET = rsa.publicKey.export({ type: 'spki', format: 'pem' })
const [HEAD = '', BODY = '', TAIL = ''] = tokenOf().split('.')

/** By the published ways to cheat; each is one attack. */
const ATTACKS: readonly [string, () => string, TokenProblem][] = [
  ['alg none, no signature', () => `${pack({ alg: 'none' })}.${BODY}.`, 'malformed'],
  ['alg none, some signature', () => `${pack({ alg: 'none' })}.${BODY}.AA`, 'badAlgorithm'],
  ['alg NONE', () => `${pack({ alg: 'NONE' })}.${BODY}.AA`, 'badAlgorithm'],
  ['no alg', () => `${pack({ typ: 'JWT' })}.${BODY}.${TAIL}`, 'badHeader'],
  ['alg that is a list', () => `${pack({ alg: ['ES256'] })}.${BODY}.${TAIL}`, 'badHeader'],
  ['alg of a prototype', () => `${pack({ alg: 'constructor' })}.${BODY}.${TAIL}`, 'badAlgorithm'],
  [
    'the public key as a shared secret',
    () => {
      const text = `${pack({ alg: 'HS256', kid: 'rsa' })}.${BODY}`
      return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`
    },
    'badAlgorithm',
  ],
  ['another algorithm than the key has', () => tokenOf(CLAIMS, { kid: 'rsa' }), 'noKey'],
  ['RS256 said, ES256 signed', () => tokenOf(CLAIMS, { alg: 'RS256' }), 'signature'],
  [
    'RS256 said, PS256 signed',
    () => tokenOf(CLAIMS, { alg: 'RS256' }, { alg: 'PS256', key: rsa.privateKey }),
    'signature',
  ],
  ['a key of its own', () => tokenOf(CLAIMS, { jwk: jwkOf(ec.publicKey) }), 'badHeader'],
  ['an address of keys', () => tokenOf(CLAIMS, { jku: 'https://evil.example' }), 'badHeader'],
  ['a certificate of its own', () => tokenOf(CLAIMS, { x5c: ['x'] }), 'badHeader'],
  [
    'an address of a certificate',
    () => tokenOf(CLAIMS, { x5u: 'https://evil.example' }),
    'badHeader',
  ],
  ['critical extensions', () => tokenOf(CLAIMS, { crit: ['b64'], b64: false }), 'badHeader'],
  ['compression', () => tokenOf(CLAIMS, { zip: 'DEF' }), 'badHeader'],
  ['encryption', () => `${HEAD}.${BODY}.${TAIL}.${TAIL}.${TAIL}`, 'malformed'],
  ['a kid that is a path', () => tokenOf(CLAIMS, { kid: '../../dev/null' }), 'noKey'],
  ['a kid that is a query', () => tokenOf(CLAIMS, { kid: "x' OR '1'='1" }), 'noKey'],
  ['a kid that is an object', () => tokenOf(CLAIMS, { kid: {} }), 'badHeader'],
  ['a kid of nobody', () => tokenOf(CLAIMS, { kid: 'unknown' }), 'noKey'],
  [
    'a signature of zeros',
    () => `${HEAD}.${BODY}.${Buffer.alloc(64).toString('base64url')}`,
    'signature',
  ],
  ['an empty signature', () => `${HEAD}.${BODY}.`, 'malformed'],
  ['a cut signature', () => `${HEAD}.${BODY}.${TAIL.slice(0, 40)}`, 'signature'],
  [
    'a signature in DER',
    () => {
      const text = `${HEAD}.${BODY}`
      return `${text}.${sign('sha256', Buffer.from(text), ec.privateKey).toString('base64url')}`
    },
    'signature',
  ],
  ['padding', () => `${HEAD}.${BODY}.${TAIL}==`, 'malformed'],
  [
    'base64 with + and /',
    () => `${HEAD}.${BODY}.${Buffer.alloc(64, 0xff).toString('base64')}`,
    'malformed',
  ],
  ['spaces', () => `${HEAD}.${BODY}.${TAIL} `, 'malformed'],
  [
    'a second spelling of its last byte',
    () => {
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      const last = alphabet.indexOf(TAIL.at(-1) ?? 'A')
      return `${HEAD}.${BODY}.${TAIL.slice(0, -1)}${alphabet[last ^ 1]}`
    },
    'malformed',
  ],
  ['a changed payload', () => `${HEAD}.${pack({ ...CLAIMS, sub: 'root' })}.${TAIL}`, 'signature'],
  [
    'a name twice in the header',
    () => `${pack('{"alg":"ES256","alg":"none"}')}.${BODY}.${TAIL}`,
    'badHeader',
  ],
  ['a name twice in the payload', () => tokenOf('{"iss":"a","iss":"b"}'), 'badPayload'],
  ['a payload that is a list', () => tokenOf([CLAIMS]), 'badPayload'],
  ['a payload that is no JSON', () => tokenOf('{'), 'badPayload'],
  [
    'a payload that is no UTF-8',
    () => `${HEAD}.${Buffer.from([0x7b, 0xff, 0x7d]).toString('base64url')}.${TAIL}`,
    'badPayload',
  ],
  ['a payload of depth', () => tokenOf(`{"a":${'['.repeat(40)}${']'.repeat(40)}}`), 'badPayload'],
  ['length', () => tokenOf({ ...CLAIMS, x: 'x'.repeat(9_000) }), 'tooLong'],
  ['two dots only', () => '..', 'malformed'],
  ['nothing', () => '', 'malformed'],
  ['another issuer', () => tokenOf({ ...CLAIMS, iss: 'https://issuer.example/' }), 'issuer'],
  ['no issuer', () => tokenOf({ ...CLAIMS, iss: undefined }), 'issuer'],
  ['an issuer in a list', () => tokenOf({ ...CLAIMS, iss: [PROVIDER.issuer] }), 'issuer'],
  ['another audience', () => tokenOf({ ...CLAIMS, aud: 'other' }), 'audience'],
  ['no audience', () => tokenOf({ ...CLAIMS, aud: undefined }), 'audience'],
  ['an audience in an object', () => tokenOf({ ...CLAIMS, aud: { shop: 'shop' } }), 'audience'],
  ['no end', () => tokenOf({ ...CLAIMS, exp: undefined }), 'noExpiry'],
  ['an end in words', () => tokenOf({ ...CLAIMS, exp: `${NOW + 600}` }), 'noExpiry'],
  ['an end before the world', () => tokenOf({ ...CLAIMS, exp: -1 }), 'noExpiry'],
  ['an end in the past', () => tokenOf({ ...CLAIMS, exp: NOW - 61 }), 'expired'],
  ['a begin in the future', () => tokenOf({ ...CLAIMS, nbf: NOW + 61 }), 'notYet'],
  ['a begin in words', () => tokenOf({ ...CLAIMS, nbf: 'now' }), 'notYet'],
]

describe('R58, R59: a token is refused that has', () => {
  for (const [what, make, problem] of ATTACKS) {
    test(what, () => assert.equal(outcomeOf(make()), problem))
  }

  test('anything changed anywhere', () => {
    const text = tokenOf()
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...'AZaz09-_.= '), (at, char) => {
        fc.pre(text[at] !== char)
        const changed = text.slice(0, at) + char + text.slice(at + 1)
        assert.notEqual(outcomeOf(changed), 'ok')
      }),
      { numRuns: 500 },
    )
  })
})

test('F27: clocks may differ by the leeway', () => {
  assert.equal(outcomeOf(tokenOf({ ...CLAIMS, exp: NOW - 59 })), 'ok')
  assert.equal(outcomeOf(tokenOf({ ...CLAIMS, nbf: NOW + 59 })), 'ok')
})

test('R64: answers are remembered under the whole token', () => {
  const text = tokenOf()
  assert.notEqual(tokenKey(text), tokenKey(`${text.slice(0, -1)}x`))
})

describe('a set of keys', () => {
  const reads = (keys: readonly object[]) => parseKeySet(JSON.stringify({ keys }))

  test('leaves out what verifies no tokens, and says so', () => {
    const { keys, problems } = reads([
      jwkOf(ec.publicKey),
      { kty: 'oct', k: 'AAAA' },
      jwkOf(ec.publicKey, { use: 'enc' }),
      jwkOf(ec.publicKey, { key_ops: ['encrypt'] }),
      jwkOf(ec.publicKey, { alg: 'RS256' }),
      jwkOf(ec.publicKey, { crv: 'P-384' }),
      jwkOf(generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey),
      jwkOf(ec.publicKey, { kid: 7 }),
      { kty: 'EC', crv: 'constructor' },
    ])
    assert.equal(keys.length, 1)
    assert.equal(problems.length, 8)
  })

  test('is bound to the alg that it names', () => {
    const only = setOf(jwkOf(rsa.publicKey, { alg: 'PS256' }))
    const by = (alg: string) => tokenOf(CLAIMS, {}, { alg, key: rsa.privateKey })
    assert.equal(outcomeOf(by('PS256'), PROVIDER, only), 'ok')
    assert.equal(outcomeOf(by('RS256'), PROVIDER, only), 'noKey')
  })

  test('never holds private parts', () => {
    const [key] = setOf(jwkOf(ec.privateKey))
    assert.equal(key?.key.type, 'public')
    assert.throws(() => createPrivateKey(key?.key as never))
  })

  test('is refused as a whole when it is none, too large or useless', () => {
    const bad = [
      '',
      '[]',
      '{}',
      '{"keys":{}}',
      '{"keys":[]}',
      '{"keys":[{"kty":"oct"}]}',
      '{"keys":[],"keys":[]}',
      ' '.repeat(300_000),
    ]
    for (const text of bad) assert.throws(() => parseKeySet(text), /Cannot read key set/)
    const many = Array.from({ length: 101 }, () => jwkOf(ec.publicKey))
    assert.throws(() => reads(many), /at most 100 keys/)
  })
})

import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { describe, test } from 'node:test'
import type { JwtProvider, LocalRateLimit } from '@weft/model'
import { FakeClock } from '@weft/testkit'
import { LocalLimiter, ProviderVerifier } from '@weft/traffic'
import { METADATA_ID, renderBearer, renderComposite, renderRoutingTags } from '@weft/wire'
import type { Leg } from '../leg.ts'
import { readRequestCall } from '../request-call.ts'
import { gateCallOf, refusalOf } from './admission.ts'
import { Gate } from './gate.ts'
import type { GlobalRule } from './gate-rules.ts'

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwks = JSON.stringify({
  keys: [{ ...keys.publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256' }],
})
const ISSUER = 'https://issuer.example'
const clock = new FakeClock()

function token(claims: object): string {
  const pack = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const exp = Math.floor(clock.nowMs() / 1_000) + 600
  const text = `${pack({ alg: 'ES256', kid: 'k' })}.${pack({ iss: ISSUER, sub: 'ann', exp, ...claims })}`
  const signature = sign('sha256', Buffer.from(text), {
    key: keys.privateKey,
    dsaEncoding: 'ieee-p1363',
  })
  return `${text}.${signature.toString('base64url')}`
}

const PROVIDER: JwtProvider = {
  name: 'p',
  issuer: ISSUER,
  audiences: [],
  keys: { kind: 'inline', jwks },
  from: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
  forward: false,
  claimHeaders: [],
  clockSkewMs: 0,
  spaceDelimitedClaims: [],
  payloadMetadataKey: 'payload',
}

const LIMIT: LocalRateLimit = {
  statPrefix: 'l',
  bucket: { maxTokens: 2, tokensPerFill: 1, fillIntervalMs: 1_000 },
  enabledPercent: 100,
  enforcedPercent: 100,
  status: 429,
  descriptors: [],
  actions: [],
  perConnection: false,
  headers: true,
  responseHeaders: [{ name: 'x-why', value: 'limit' }],
}

function gate(limit?: LocalRateLimit, globals: readonly GlobalRule[] = []): Gate {
  const requirement = { kind: 'allowMissing' } as const
  return new Gate(
    {
      tokens: [
        {
          authentication: {
            providers: [PROVIDER],
            requirement,
            named: [],
            bypassCorsPreflight: true,
          },
        },
      ],
      rbac: [],
      limits: limit === undefined ? [] : [{ limit, actions: [], ofRoute: '' }],
      globals,
      destinationCluster: 'inbound|80||',
    },
    {
      random: () => 0,
      nowMs: () => clock.monotonicMs(),
      wallMs: () => clock.nowMs(),
      verifierOf: (provider) => new ProviderVerifier(provider, undefined),
      limiterOf: (one) => new LocalLimiter(one.limit, clock.monotonicMs()),
      askerOf: () => ({ ask: () => () => {}, giveBack() {} }),
      serviceCluster: 'cart.shop',
    },
  )
}

/** A request/response of RSocket to `s.m`. */
function callWith(shown: { readonly token?: string; readonly setupClaims?: object }) {
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['s.m']) },
    ...(shown.token === undefined
      ? []
      : [{ mime: METADATA_ID.authentication, content: renderBearer(shown.token) }]),
  ])
  const call = readRequestCall('rr', metadata, 0, metadata.length, 'composite', undefined)
  assert.ok(typeof call !== 'string')
  const address = { host: '10.0.0.9', port: 1 }
  const identity = { principal: undefined, claims: shown.setupClaims }
  const leg = { facts: { identity }, socket: { remoteAddress: address } } as unknown as Leg
  return { call, asked: gateCallOf(leg, call, call, address) }
}

describe('the gate of a workload, for calls of RSocket', () => {
  test('reads the token of the request, from its authentication entry', () => {
    const good = gate().judge(callWith({ token: token({ group: 'a' }) }).asked)
    assert.equal(good.refusal, undefined)
    assert.deepEqual(
      good.tokens.map(({ issuer, payload }) => [issuer, payload.group]),
      [[ISSUER, 'a']],
    )
    assert.deepEqual(
      good.changes.map(({ remove }) => remove),
      [['authorization']],
      'the application does not get it',
    )
  })

  test('refuses a wrong one as the sidecar does', () => {
    const { call, asked } = callWith({ token: token({ exp: 1 }) })
    const { refusal } = gate().judge(asked)
    assert.ok(refusal)
    assert.equal(refusal.status, 401)
    assert.deepEqual(refusalOf(refusal, { call }), {
      code: 0x403,
      message: 'WEFT-401 Jwt is expired',
      flag: '-',
      status: 401,
    })
  })

  test('takes the token of SETUP where the request shows none, and only there', () => {
    const setupClaims = { iss: 'https://setup.example', sub: 'bob' }
    const from = (shown: Parameters<typeof callWith>[0]) =>
      gate()
        .judge(callWith(shown).asked)
        .tokens.map(({ issuer }) => issuer)
    assert.deepEqual(from({ setupClaims }), ['https://setup.example'])
    assert.deepEqual(from({ setupClaims, token: token({}) }), [ISSUER])
    assert.deepEqual(from({}), [])
  })

  test('lets as many pass as the limit has, and says how many are left', () => {
    const limited = gate(LIMIT)
    const { asked } = callWith({})
    const judgement = limited.judge(asked)
    const ask = () => {
      const stamps: (readonly [string, string])[] = []
      return { refusal: limited.limit(asked, judgement, stamps), stamps }
    }
    assert.deepEqual(ask(), {
      refusal: undefined,
      stamps: [
        ['x-ratelimit-limit', '2'],
        ['x-ratelimit-remaining', '1'],
        ['x-ratelimit-reset', '0'],
      ],
    })
    assert.equal(ask().refusal, undefined)
    const { refusal } = ask()
    assert.equal(refusal?.status, 429)
    assert.equal(refusal?.flag, 'RL')
    assert.deepEqual(refusal?.headers.at(-1), ['x-why', 'limit'])
    clock.advance(1_000)
    assert.equal(ask().refusal, undefined)
  })
})

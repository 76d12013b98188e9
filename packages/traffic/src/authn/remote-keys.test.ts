import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '@weft/base'
import { FakeClock } from '@weft/testkit'
import { type FetchedKeys, RemoteKeys } from './remote-keys.ts'
import { parseJwt, type UnverifiedJwt } from './verify-token.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const KEY = {
  kty: 'EC',
  crv: 'P-256',
  x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
  y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
}

function jwtBy(kid: string): UnverifiedJwt {
  const pack = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const parsed = parseJwt(`${pack({ alg: 'ES256', kid })}.${pack({ iss: 'a' })}.AAAA`)
  assert.ok(parsed.ok)
  return parsed.jwt
}

function setUp(maxAgeMs?: number) {
  const clock = new FakeClock()
  let kids: readonly string[] | undefined = ['k0']
  let asked = 0
  const fetch = (): Promise<FetchedKeys> => {
    asked++
    if (kids === undefined) return Promise.resolve({ ok: false, problem: 'down' })
    const body = JSON.stringify({ keys: kids.map((kid) => ({ ...KEY, kid })) })
    return Promise.resolve({ ok: true, body, maxAgeMs })
  }
  const deps = { clock, log: silentLogger, fetch }
  const keys = new RemoteKeys('https://a.example/keys', 5 * MINUTE_MS, deps)
  return {
    clock,
    keys,
    asked: () => asked,
    publish(now: readonly string[] | undefined) {
      kids = now
    },
    /** As a request does it: asks, waits if it must, asks again. */
    async knows(kid: string): Promise<boolean> {
      const first = keys.keysFor(jwtBy(kid), true)
      if (!first.ready) await first.when
      else await Promise.resolve()
      const now = keys.keysFor(jwtBy(kid), false)
      return now.ready && now.keys?.some((key) => key.kid === kid) === true
    },
  }
}

test('keys are asked for again when their time is over, and nobody waits for that', async () => {
  const { clock, keys, asked, publish, knows } = setUp()
  assert.equal(await knows('k0'), true)
  clock.advance(5 * MINUTE_MS - 1)
  assert.equal(await knows('k0'), true)
  assert.equal(asked(), 1)
  publish(['k0', 'k1'])
  clock.advance(1)
  assert.equal(keys.keysFor(jwtBy('k0'), true).ready, true)
  assert.equal(asked(), 2)
})

test('what the issuer says of its cache counts, within limits', async () => {
  const { clock, asked, knows } = setUp(1)
  await knows('k0')
  clock.advance(MINUTE_MS - 1)
  await knows('k0')
  assert.equal(asked(), 1)
  clock.advance(1)
  await knows('k0')
  assert.equal(asked(), 2)
})

test('R62: through an outage the last keys hold for an hour, then none; back-off grows to a minute', async () => {
  const { clock, asked, publish, knows } = setUp()
  assert.equal(await knows('k0'), true)
  publish(undefined)
  let isKnown = true
  let knownForMs = 0
  for (let ms = 0; ms < 2 * HOUR_MS; ms += 1_000) {
    clock.advance(1_000)
    isKnown = await knows('k0')
    if (isKnown) knownForMs = ms + 1_000
  }
  assert.equal(isKnown, false)
  assert.ok(Math.abs(knownForMs - (HOUR_MS + 5 * MINUTE_MS)) <= 2_000, `${knownForMs}`)
  // Some tries at first, one a minute after that.
  assert.ok(asked() > 100 && asked() < 135, `${asked()}`)
  publish(['k0'])
  clock.advance(MINUTE_MS)
  assert.equal(await knows('k0'), true)
})

test('R63: keys that nobody has cause one fetch a minute', async () => {
  const { clock, asked, publish, knows } = setUp(HOUR_MS)
  assert.equal(await knows('k0'), true)
  for (let second = 0; second < 600; second++) {
    assert.equal(await knows(`x${second}`), false)
    clock.advance(1_000)
  }
  assert.equal(asked(), 11)
  publish(['k1'])
  clock.advance(MINUTE_MS)
  assert.equal(await knows('k1'), true)
})

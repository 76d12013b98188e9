import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '@weft/testkit'
import { expiryMs, Tokens } from './token.ts'

const jwt = (claims: object) =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.sig`

test('the end of a token is read from it, and of what is none is not', () => {
  assert.equal(expiryMs(jwt({ exp: 1_000, sub: 'ü??>' })), 1_000_000)
  for (const none of ['', 'opaque', 'a.b.c', jwt({}), jwt({ exp: 'soon' }), 'a.bnVsbA.c']) {
    assert.equal(expiryMs(none), undefined, none)
  }
})

test('the next token is shown before the one that is shown ends; a source that fails is asked again', async () => {
  const clock = new FakeClock(0)
  const renewed: string[] = []
  let asked = 0
  const tokens = new Tokens(
    async () => {
      if (++asked === 2) throw new Error('later')
      return jwt({ exp: clock.nowMs() / 1000 + 100, jti: asked })
    },
    clock,
    (token) => void renewed.push(token),
  )
  await tokens.take()
  clock.advance(79_000)
  assert.equal(asked, 1)
  clock.advance(1_000)
  await new Promise<void>((resolve) => setImmediate(resolve))
  assert.equal(asked, 2)
  assert.equal(renewed.length, 0)
  clock.advance(16_000)
  await new Promise<void>((resolve) => setImmediate(resolve))
  assert.equal(asked, 3)
  assert.equal(renewed.length, 1)
  tokens.close()
  assert.equal(clock.pending, 0)
})

test('several renewals at once are one, and it is known whether there was one since', async () => {
  let asked = 0
  const renewed: string[] = []
  const source = async () => `token-${++asked}`
  const tokens = new Tokens(source, new FakeClock(0), (token) => void renewed.push(token))
  const { renewals } = tokens
  await tokens.take()
  assert.equal(tokens.newerThan(renewals), undefined)
  await Promise.all([tokens.refresh(), tokens.refresh(), tokens.refresh()])
  assert.deepEqual([asked, renewed], [2, ['token-2']])
  assert.equal(tokens.newerThan(renewals), 'token-2')
  assert.equal(tokens.newerThan(tokens.renewals), undefined)
  await tokens.refresh()
  assert.equal(asked, 3)
})

test('a source that has no token for a while is asked again', async () => {
  const clock = new FakeClock(0)
  let asked = 0
  const renewed: string[] = []
  const source = async () =>
    ++asked === 2 ? undefined : jwt({ exp: clock.nowMs() / 1000 + 100, jti: asked })
  const tokens = new Tokens(source, clock, (token) => void renewed.push(token))
  await tokens.take()
  clock.advance(80_000)
  await new Promise<void>((resolve) => setImmediate(resolve))
  assert.deepEqual([asked, renewed.length], [2, 0])
  clock.advance(16_000)
  await new Promise<void>((resolve) => setImmediate(resolve))
  assert.deepEqual([asked, renewed.length], [3, 1])
  tokens.close()
  assert.equal(clock.pending, 0)
})

import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { createHandleTransport } from '@weft/net'
import { eventually, FakeClock } from '@weft/testkit'
import { readConnectionEvent } from '@weft/wire'
import { Broker } from '../broker.ts'
import type { Leg } from '../leg.ts'
import { HttpAgent } from './http-agent.ts'

const closing: (() => void)[] = []
after(() => {
  for (const close of closing.reverse()) close()
})

function jwt(number: number, endMs: number): string {
  const claims = { jti: String(number), exp: Math.floor(endMs / 1_000) }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'none' })}.${part(claims)}.x`
}

test('before a token ends each link shows the next one, and stays', async () => {
  const clock = new FakeClock()
  const pushed: [Leg, string][] = []
  const broker = new Broker(
    { id: 'b' },
    {
      ...{ transport: createHandleTransport(), clock: realClock, log: silentLogger },
      random: Math.random,
      onMetadataPush(leg, metadata) {
        const { token } = readConnectionEvent(metadata) ?? {}
        if (typeof token === 'object' && token !== null && 'jwt' in token) {
          pushed.push([leg, String(token.jwt)])
        }
      },
    },
  )
  const listen = async () => {
    const address = await broker.listen({ kind: 'tcp', address: { host: '127.0.0.1', port: 0 } })
    return { kind: 'tcp', address } as const
  }
  const targets = [await listen(), await listen()] as const
  let asked = 0
  const agent = new HttpAgent(
    {
      ...{ brokers: targets, links: 2, instance: 'i', app: 'a', namespace: 'default' },
      ...{ labels: {}, zone: '', services: [] },
      token: () => jwt(asked++, clock.nowMs() + 20_000),
    },
    { clock, log: silentLogger, random: Math.random },
  )
  closing.push(
    () => broker.close(),
    () => agent.close(),
  )
  await agent.open()
  const isUp = () => assert.ok(agent.status().links.every((link) => link.isUp))
  await eventually(isUp)
  const before = asked
  clock.advance(16_500)
  await eventually(() => assert.equal(pushed.length, 2))
  assert.equal(asked, before + 1)
  assert.deepEqual([...new Set(pushed.map(([leg]) => leg))].length, 2, 'one on each link')
  assert.deepEqual(new Set(pushed.map(([, token]) => token)).size, 1)
  isUp()
  clock.advance(16_500)
  await eventually(() => assert.equal(pushed.length, 4))
})

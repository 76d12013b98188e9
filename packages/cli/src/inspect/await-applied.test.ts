import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectStatus } from '@weft/control'
import { FakeClock } from '@weft/testkit'
import { awaitApplied, LOOK_EVERY_MS, renderApplied } from './await-applied.ts'

const RULE = { kind: 'VirtualService', namespace: 'shop', name: 'cart' }

function statusOf(acknowledged: number | undefined, more: Partial<ObjectStatus> = {}) {
  const applied =
    acknowledged === undefined
      ? {}
      : { applied: { proxies: 3, acknowledged, current: acknowledged, rejected: [] } }
  const summary = 'as it is'
  return {
    ...RULE,
    apiVersion: 'networking.istio.io/v1',
    conditions: [],
    problems: [],
    summary,
    ...applied,
    ...more,
  } satisfies ObjectStatus
}

/** Answers in their order, the last for ever. */
function stage(...answers: readonly (readonly ObjectStatus[])[]) {
  const clock = new FakeClock()
  let asked = 0
  const status = async () => {
    const objects = answers[Math.min(asked, answers.length - 1)] ?? []
    asked++
    return { objects }
  }
  const pause = async () => clock.advance(LOOK_EVERY_MS)
  return { clock, asked: () => asked, wait: () => awaitApplied([RULE], status, { clock, pause }) }
}

test('waits until each proxy has answered, and says how many have it', async () => {
  const { wait, asked } = stage([statusOf(0)], [statusOf(2)], [statusOf(3)])
  const applied = await wait()
  assert.equal(asked(), 3)
  assert.equal(renderApplied(applied, 'weft'), 'In force at 3 proxies.\n')
})

test('a proxy that rejects has answered, and is named', async () => {
  const rejected = [{ proxy: 'web-7', message: 'no such cluster' }]
  const applied = { proxies: 3, acknowledged: 2, current: 2, rejected }
  const { wait, asked } = stage([statusOf(0, { applied, summary: 'web-7 rejected it' })])
  const text = renderApplied(await wait(), 'weft')
  assert.equal(asked(), 1)
  assert.equal(text, 'VirtualService shop/cart: web-7 rejected it\n')
})

test('what is held back is told with its reason', async () => {
  const conditions = [
    { type: 'ResolvedRefs', status: false, reason: 'BackendNotFound', message: 'no' },
  ] as const
  const { wait } = stage([statusOf(undefined, { conditions, summary: 'host x does not exist' })])
  assert.equal(
    renderApplied(await wait(), 'weft'),
    'VirtualService shop/cart: host x does not exist\n',
  )
})

test('a proxy that does not answer is waited for two seconds', async () => {
  const { wait, clock } = stage([statusOf(2)])
  const applied = await wait()
  assert.equal(clock.monotonicMs(), 2_000)
  assert.equal(
    renderApplied(applied, 'npx weft'),
    'Not every proxy has answered yet: npx weft status\n',
  )
})

test('objects of others, and those that no proxy needs, are no news', async () => {
  const { wait, asked } = stage([statusOf(undefined), statusOf(0, { name: 'other' })])
  assert.equal(renderApplied(await wait(), 'weft'), '')
  assert.equal(asked(), 1)
})

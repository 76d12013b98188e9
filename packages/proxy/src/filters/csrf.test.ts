import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { CsrfPolicy } from '@weft/model'
import { type FilteredProxy, filteredProxy } from './filters-fixture.ts'

const POLICY: CsrfPolicy = {
  enabledPercent: 100,
  shadowPercent: 0,
  additionalOrigins: [{ kind: 'suffix', value: '.partner.example', ignoreCase: false }],
}
const OWN = { host: 'shop.example' }

describe('a request that changes something', () => {
  let proxy: FilteredProxy
  before(async () => {
    proxy = await filteredProxy([{ kind: 'csrf', policy: POLICY }])
  })
  after(() => proxy.close())

  for (const headers of [
    { origin: 'https://shop.example' },
    { origin: 'https://a.partner.example' },
    { referer: 'https://shop.example/cart?a=https://evil.example/' },
  ]) {
    test(`may come from ${JSON.stringify(headers)}`, async () => {
      assert.equal((await proxy.ask('POST', { ...OWN, ...headers })).status, 200)
    })
  }

  for (const headers of [
    {},
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: 'https://shop.example.evil.example' },
    { origin: 'https://shop.example@evil.example' },
    { origin: 'https://evil.example', referer: 'https://shop.example/' },
    { referer: 'https://evil.example/?https://shop.example' },
  ] as Record<string, string>[]) {
    test(`must not come from ${JSON.stringify(headers)}`, async () => {
      const served = proxy.served()
      const answer = await proxy.ask('DELETE', { ...OWN, ...headers })
      assert.deepEqual([answer.status, answer.body], [403, 'Invalid origin'])
      assert.equal(proxy.served(), served)
      assert.equal(proxy.records.at(-1)?.details, 'csrf_origin_mismatch')
    })
  }

  test('is the only kind that is asked', async () => {
    const evil = { ...OWN, origin: 'https://evil.example' }
    assert.equal((await proxy.ask('GET', evil)).status, 200)
    assert.equal((await proxy.ask('OPTIONS', evil)).status, 200)
  })
})

test('a route has its own policy, or none', async (t) => {
  const closed = await filteredProxy([{ kind: 'csrf' }], { csrf: POLICY })
  t.after(() => closed.close())
  assert.equal((await closed.ask('POST', OWN)).status, 403)
  const open = await filteredProxy([{ kind: 'csrf', policy: POLICY }], { disabled: ['csrf'] })
  t.after(() => open.close())
  assert.equal((await open.ask('POST', OWN)).status, 200)
})

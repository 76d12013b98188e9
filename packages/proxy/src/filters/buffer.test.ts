import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filteredProxy } from './filters-fixture.ts'

test('a body over the limit is refused before the application sees it', async (t) => {
  const proxy = await filteredProxy([{ kind: 'buffer', maxRequestBytes: 4 }])
  t.after(() => proxy.close())
  assert.equal((await proxy.ask('POST', {}, '1234')).status, 200)
  assert.equal((await proxy.ask('POST', {}, '12345')).status, 413)
  assert.equal(proxy.served(), 1)
  assert.equal(proxy.records.at(-1)?.details, 'request_payload_too_large')
})

test('a route has its own limit, and 0 is none', async (t) => {
  const wider = await filteredProxy([{ kind: 'buffer', maxRequestBytes: 4 }], {
    maxRequestBytes: 5,
  })
  t.after(() => wider.close())
  assert.equal((await wider.ask('POST', {}, '12345')).status, 200)
  const none = await filteredProxy([{ kind: 'buffer', maxRequestBytes: 4 }], { maxRequestBytes: 0 })
  t.after(() => none.close())
  assert.equal((await none.ask('POST', {}, '123456789')).status, 200)
})

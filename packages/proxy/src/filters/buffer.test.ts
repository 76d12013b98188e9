import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:http2'
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

/** Sends `pieces` without a length. */
async function stream(port: number, version: 'h1' | 'h2', pieces: readonly string[]) {
  const headers = { ':method': 'POST', ':path': '/a' }
  if (version === 'h1') {
    const sent = request({ port, host: '127.0.0.1', method: 'POST', path: '/a', agent: false })
    for (const piece of pieces) sent.write(piece)
    sent.end()
    sent.on('error', () => undefined)
    const [response] = await once(sent, 'response')
    response.resume()
    return Number(response.statusCode)
  }
  const session = connect(`http://127.0.0.1:${port}`)
  const sent = session.request(headers)
  sent.on('error', () => undefined)
  const answered = once(sent, 'response')
  for (const piece of pieces) sent.write(piece)
  sent.end()
  const [response] = await answered
  session.destroy()
  return Number(response[':status'])
}

for (const version of ['h1', 'h2'] as const) {
  test(`${version}: a body without a length is counted as it comes`, async (t) => {
    const proxy = await filteredProxy([{ kind: 'buffer', maxRequestBytes: 100_000 }])
    t.after(() => proxy.close())
    const piece = 'x'.repeat(25_000)
    assert.equal(await stream(proxy.port, version, [piece, piece, piece, piece]), 200)
    assert.equal(await stream(proxy.port, version, [piece, piece, piece, piece, 'x']), 413)
    assert.equal(proxy.records.at(-1)?.details, 'request_payload_too_large')
  })

  test(`${version}: a short body that came with its head is counted, too`, async (t) => {
    const proxy = await filteredProxy([{ kind: 'buffer', maxRequestBytes: 4 }])
    t.after(() => proxy.close())
    assert.equal(await stream(proxy.port, version, ['1234']), 200)
    assert.equal(await stream(proxy.port, version, ['12345']), 413)
  })
}

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionPersistence } from '@weft/model'
import { type Answer, filteredProxy } from './filters-fixture.ts'

const COOKIE: SessionPersistence = { kind: 'cookie', name: 'sticky', path: '/a', ttlMs: 60_000 }
const HEADER: SessionPersistence = { kind: 'header', name: 'x-session' }

const cookieIn = ({ headers }: Answer): string | undefined => {
  const [line] = headers['set-cookie'] ?? []
  return line
}

test('a client with a cookie comes back to its endpoint, and gets no other cookie', async (t) => {
  const proxy = await filteredProxy([{ kind: 'statefulSession', session: COOKIE }], {}, {}, 4)
  t.after(() => proxy.close())
  for (let client = 0; client < 4; client++) {
    const first = await proxy.ask('GET')
    const line = cookieIn(first) ?? ''
    assert.match(line, /^sticky="[A-Za-z0-9+/=]+"; Max-Age=60; Path=\/a; HttpOnly$/)
    const cookie = line.split(';')[0] ?? ''
    for (let i = 0; i < 5; i++) {
      const again = await proxy.ask('GET', { cookie: `other=1; ${cookie}` })
      assert.equal(again.headers['x-app'], first.headers['x-app'])
      assert.equal(cookieIn(again), undefined)
    }
  }
})

test('a client with a header comes back to its endpoint', async (t) => {
  const proxy = await filteredProxy([{ kind: 'statefulSession' }], { session: HEADER }, {}, 4)
  t.after(() => proxy.close())
  const first = await proxy.ask('GET')
  const session = String(first.headers['x-session'])
  for (let i = 0; i < 8; i++) {
    const again = await proxy.ask('GET', { 'x-session': session })
    assert.equal(again.headers['x-app'], first.headers['x-app'])
  }
})

for (const value of ['', 'nonsense', '"', Buffer.from('10.0.0.1:1').toString('base64')]) {
  test(`a session '${value}' that leads nowhere begins anew`, async (t) => {
    const proxy = await filteredProxy([{ kind: 'statefulSession', session: COOKIE }], {}, {}, 2)
    t.after(() => proxy.close())
    const answer = await proxy.ask('GET', { cookie: `sticky=${value}` })
    assert.equal(answer.status, 200)
    assert.notEqual(cookieIn(answer), undefined)
  })
}

test('a cookie is for its path, and a route may do without', async (t) => {
  const elsewhere = { ...COOKIE, path: '/other' }
  const proxy = await filteredProxy([{ kind: 'statefulSession', session: elsewhere }])
  t.after(() => proxy.close())
  assert.equal(cookieIn(await proxy.ask('GET')), undefined)
  const off = await filteredProxy([{ kind: 'statefulSession', session: COOKIE }], {
    disabled: ['statefulSession'],
  })
  t.after(() => off.close())
  assert.equal(cookieIn(await off.ask('GET')), undefined)
})

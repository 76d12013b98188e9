import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdminAccess } from '@weft/net'
import { adminEndpoints } from './catalog.ts'

const HERE = { host: '127.0.0.1', port: 15_000 }
const EVERYWHERE = { host: '0.0.0.0', port: 15_000 }
const TOKEN = 'a-token-of-24-characters'

test('R70: on loopback everybody looks, and only who has the token changes something', () => {
  const access = new AdminAccess(HERE, undefined)
  for (const { path, method } of Object.values(adminEndpoints)) {
    const isLook = method === 'GET'
    assert.equal(access.refusal(method, path, undefined) === undefined, isLook, path)
    assert.equal(access.refusal(method, path, `Bearer ${access.token}`), undefined, path)
  }
})

test('R70: methods that nobody serves take the token like those that change something', () => {
  const access = new AdminAccess(HERE, undefined)
  for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'get', 'post', '']) {
    assert.notEqual(access.refusal(method, '/ready', undefined), undefined, method)
  }
})

test('R70: where others reach it, only probes need no token', () => {
  const access = new AdminAccess(EVERYWHERE, TOKEN)
  for (const { path } of Object.values(adminEndpoints)) {
    const isOpen = access.refusal('GET', path, undefined) === undefined
    assert.equal(isOpen, path === '/ready', path)
    assert.equal(access.refusal('GET', path, `Bearer ${TOKEN}`), undefined, path)
  }
  for (const path of ['/ready/', '/READY', '/ready/../config_dump', '//ready']) {
    assert.notEqual(access.refusal('GET', path, undefined), undefined, path)
  }
})

test('R70: an address that others reach is refused without a token that somebody chose', () => {
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', 'example', '']) {
    const open = () => new AdminAccess({ host, port: 0 }, undefined)
    assert.throws(open, /Cannot open the admin port/, host)
  }
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost']) {
    assert.ok(new AdminAccess({ host, port: 0 }, undefined).token.length >= 40, host)
  }
  assert.throws(() => new AdminAccess(EVERYWHERE, 'short'), /16 characters/)
})

test('nothing that is nearly the token is', () => {
  const access = new AdminAccess(EVERYWHERE, TOKEN)
  const near = [
    ...['', 'Bearer', 'Bearer ', TOKEN, `Basic ${TOKEN}`, `Bearer ${TOKEN}x`, `Bearer x${TOKEN}`],
    ...[`Bearer ${TOKEN.slice(0, -1)}`, `Bearer ${TOKEN.toUpperCase()}`, `Bearer ${TOKEN} `],
    ...[`Bearer ${TOKEN}, Bearer ${TOKEN}`, `Bearer\t${TOKEN}`],
  ]
  for (const one of near) assert.notEqual(access.refusal('GET', '/stats', one), undefined, one)
  assert.equal(access.refusal('GET', '/stats', `bearer   ${TOKEN}`), undefined)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ALIBABA_ID,
  type CompositeEntry,
  gsvHash,
  HTTP_ENTRY_MIME,
  type HttpRequestEntry,
  METADATA_ID,
  renderBearer,
  renderBinaryRouting,
  renderComposite,
  renderHttpRequest,
  renderRoutingTags,
} from '@weft/wire'
import { type RequestCall, readRequestCall, type ServiceHashes } from './request-call.ts'

const UNKNOWN: ServiceHashes = { keyOfHash: () => undefined }

function read(entries: readonly CompositeEntry[], hashes?: ServiceHashes): RequestCall | string {
  const bytes = renderComposite(entries)
  return readRequestCall('rr', bytes, 0, bytes.length, 'composite', hashes)
}

const routing = (...tags: string[]): CompositeEntry => ({
  mime: METADATA_ID.routing,
  content: renderRoutingTags(tags),
})

const http = (head: Partial<HttpRequestEntry> = {}): CompositeEntry => ({
  mime: HTTP_ENTRY_MIME,
  content: renderHttpRequest({ method: 'GET', path: '/', authority: 'a', fields: [], ...head }),
})

const bearer = (token: string): CompositeEntry => ({
  mime: METADATA_ID.authentication,
  content: renderBearer(token),
})

/** A well-known type in letters, which renderers write by its id. */
const spelledRouting = (tag: string): Buffer => {
  const name = Buffer.from('message/x.rsocket.routing.v0')
  const content = renderRoutingTags([tag])
  return Buffer.concat([Buffer.of(name.length - 1), name, Buffer.of(0, 0, content.length), content])
}

test('what says whom a request is for, and whose it is, stands there once', () => {
  for (const twice of [
    [routing('a.B.public'), routing('a.B.secret')],
    [http({ path: '/secret' }), http({ path: '/public' })],
    [routing('a.B.c'), bearer('one'), bearer('two')],
  ]) {
    const said = read(twice)
    assert.match(typeof said === 'string' ? said : '', /stands there twice/)
  }
  const spelled = Buffer.concat([renderComposite([routing('a.B.c')]), spelledRouting('a.B.secret')])
  const said = readRequestCall('rr', spelled, 0, spelled.length, 'composite', undefined)
  assert.match(typeof said === 'string' ? said : '', /routing\.v0 stands there twice/)
})

test('a well-known type that is spelled out is that type', () => {
  const alone = spelledRouting('a.B.c')
  const call = readRequestCall('rr', alone, 0, alone.length, 'composite', undefined)
  assert.ok(typeof call !== 'string')
  assert.equal(call.path, '/a.B/c')
})

test('binary routing names what the routing entry and the hashes name, or nobody is asked', () => {
  const binary = (key: string, hashed: string): CompositeEntry => ({
    mime: ALIBABA_ID.binaryRouting,
    content: renderBinaryRouting({
      ...{ serviceId: gsvHash('a.B'), handlerId: gsvHash(hashed), sticky: false, key },
    }),
  })
  const pathOf = (entries: readonly CompositeEntry[], hashes: ServiceHashes | undefined) => {
    const call = read(entries, hashes)
    return typeof call === 'string' ? call : call.path
  }
  assert.equal(pathOf([binary('a.B.c', 'a.B.c')], UNKNOWN), '/a.B/c')
  assert.equal(pathOf([binary('', 'a.B.c'), routing('a.B.c')], UNKNOWN), '/a.B/c')
  assert.equal(pathOf([binary('a.B.c', 'a.B.c'), routing('a.B.c')], UNKNOWN), '/a.B/c')
  for (const entries of [
    [binary('a.B.c', 'a.B.c'), routing('a.B.secret')],
    [binary('', 'a.B.secret'), routing('a.B.c')],
    [binary('a.B.c', 'a.B.secret')],
  ]) {
    assert.match(pathOf(entries, UNKNOWN), /name different services or methods/)
  }
  assert.match(
    pathOf([routing('a.B.c'), binary('a.B.secret', 'a.B.secret')], undefined),
    /for clients with Alibaba application metadata/,
  )
})

test('heads of HTTP that HTTP could not carry are malformed', () => {
  const isRead = (head: Partial<HttpRequestEntry>) => typeof read([http(head)]) !== 'string'
  assert.ok(isRead({ fields: [['x-role', 'a\tb \u00fc']] }))
  assert.ok(isRead({ method: 'M-SEARCH', path: '/\u00fc?q=1', authority: '[::1]:80' }))
  for (const head of [
    { method: 'GET /x HTTP/1.1\r\n' },
    { method: '' },
    { path: '/a b' },
    { path: '/a\r\nx: y' },
    { authority: 'a\r\nx: y' },
    { fields: [['x y', '']] },
    { fields: [['x', 'a\r\ny: z']] },
    { fields: [['x', 'a\0']] },
    { fields: [['', 'a']] },
    { fields: [[':path', '/']] },
  ] satisfies Partial<HttpRequestEntry>[]) {
    assert.equal(isRead(head), false, JSON.stringify(head))
  }
})

test('a name in upper case, which no rule would look for, is malformed', () => {
  const { content } = http({ fields: [['x-role', 'admin']] })
  const shouted = Buffer.from(content)
  shouted.write('X-Role', shouted.indexOf('x-role'), 'latin1')
  assert.equal(typeof read([{ mime: HTTP_ENTRY_MIME, content: shouted }]), 'string')
})

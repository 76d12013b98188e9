import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  ALIBABA_ID,
  gsvHash,
  gsvServiceKey,
  parseGsv,
  readBinaryRouting,
  renderBinaryRouting,
} from './alibaba.ts'
import { CompositeReader, readComposite, renderComposite } from './composite-metadata.ts'
import {
  type HttpRequestEntry,
  readHttpRequest,
  readHttpResponse,
  renderHttpRequest,
  renderHttpResponse,
} from './http-entry.ts'
import {
  readAuthentication,
  readMimes,
  readRoutingTags,
  readZipkin,
  renderBearer,
  renderMimes,
  renderRoutingTags,
  renderSimple,
  renderZipkin,
} from './metadata-entries.ts'
import { METADATA_ID, mimeId, mimeName } from './mime-types.ts'

const field = createRequire(import.meta.url)('rsocket-core-field') as {
  encodeAndAddCustomMetadata(to: Buffer, mime: string, content: Buffer): Buffer
  encodeRoutes(...routes: string[]): Buffer
  encodeSimpleAuthMetadata(user: string, password: string): Buffer
  encodeBearerAuthMetadata(token: string): Buffer
}

const plain = { noNullPrototype: true }

test('the length byte of a spelled-out MIME type is one less than its length', () => {
  const entry = renderComposite([{ mime: 'x/y', content: Buffer.from('z') }])
  assert.equal(entry.toString('hex'), '02782f79' + '000001' + '7a')
  assert.equal(
    field.encodeAndAddCustomMetadata(Buffer.alloc(0), 'x/y', Buffer.from('z')).toString('hex'),
    entry.toString('hex'),
  )
})

test('entries are read back; well-known types by id', () => {
  const mime = fc.oneof(
    fc.constantFrom('application/json', 'message/x.rsocket.routing.v0', 'text/plain'),
    fc.stringMatching(/^[a-z]{1,30}\/[a-z.]{1,60}$/),
  )
  const content = fc.uint8Array({ maxLength: 50 }).map((array) => Buffer.from(array))
  fc.assert(
    fc.property(fc.array(fc.record({ mime, content }, plain), { maxLength: 6 }), (entries) => {
      assert.deepEqual(readComposite(renderComposite(entries)), entries)
    }),
  )
})

test('the walk never leaves the metadata, and says when it is malformed', () => {
  const reader = new CompositeReader()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      reader.start(bytes, 0, bytes.length)
      let end = 0
      while (reader.next()) {
        assert.ok(reader.contentTo <= bytes.length && reader.entryFrom === end)
        end = reader.contentTo
      }
      assert.equal(reader.malformed, end !== bytes.length)
    }),
    { numRuns: 5000 },
  )
})

test('the route is found behind other entries', () => {
  const bytes = renderComposite([
    { mime: 'message/x.weft.hello.v0+json', content: Buffer.from('{}') },
    { mime: METADATA_ID.routing, content: renderRoutingTags(['a.b', 'c=d']) },
  ])
  const reader = new CompositeReader().start(bytes, 0, bytes.length)
  assert.ok(reader.find(METADATA_ID.routing))
  assert.deepEqual(readRoutingTags(reader.content), ['a.b', 'c=d'])
})

test('routing and authentication are the bytes of the npm client', () => {
  assert.deepEqual(renderRoutingTags(['a.b', 'ü']), field.encodeRoutes('a.b', 'ü'))
  assert.deepEqual(renderBearer('jwt'), field.encodeBearerAuthMetadata('jwt'))
  assert.deepEqual(renderSimple('u', 'p'), field.encodeSimpleAuthMetadata('u', 'p'))
  assert.equal(renderSimple('u', 'p').toString('hex'), '8000017570')
})

test('contents are read back, and no bytes make reading throw', () => {
  assert.deepEqual(readAuthentication(renderBearer('a.b.c')), { type: 'bearer', token: 'a.b.c' })
  assert.deepEqual(readAuthentication(renderSimple('ü', '')), {
    type: 'simple',
    user: 'ü',
    password: '',
  })
  assert.deepEqual(readAuthentication(Buffer.from('\x03custpay', 'latin1')), {
    type: 'other',
    name: 'cust',
    payload: Buffer.from('pay'),
  })
  assert.deepEqual(readMimes(renderMimes(['application/json', 'x/y'])), ['application/json', 'x/y'])
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (content) => {
      readRoutingTags(content)
      readAuthentication(content)
      readMimes(content)
      readZipkin(content)
      readBinaryRouting(content)
      readHttpRequest(content)
      readHttpResponse(content)
    }),
    { numRuns: 5000 },
  )
  assert.equal(readRoutingTags(Buffer.of(5, 65)), undefined)
  assert.throws(() => renderRoutingTags(['x'.repeat(256)]), RangeError)
})

test('traces are read back with the place of the span', () => {
  const hex = (digits: number) => fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`))
  const traces = fc.record(
    {
      sampling: fc.constantFrom('debug', 'sample', 'drop', 'undecided'),
      traceId: fc.oneof(hex(16), hex(32)),
      spanId: hex(16),
      parentId: fc.option(hex(16), { nil: undefined }),
    },
    plain,
  )
  fc.assert(
    fc.property(traces, (trace) => {
      const content = renderZipkin(trace)
      const spanAt = 1 + trace.traceId.length / 2
      assert.deepEqual(readZipkin(content), { ...trace, spanAt })
      assert.equal(readZipkin(content.subarray(0, content.length - 1)), undefined)
    }),
  )
})

test('the table of MIME types is that of the extension', () => {
  assert.equal(mimeName(0), 'application/avro')
  assert.equal(mimeName(0x05), 'application/json')
  assert.equal(mimeName(0x1d), 'multipart/mixed')
  assert.equal(mimeName(0x26), 'application/x-hessian')
  assert.equal(mimeName(0x2a), 'application/x-flatbuffers')
  assert.equal(mimeName(0x2b), undefined)
  assert.equal(mimeId('message/x.rsocket.composite-metadata.v0'), 0x7f)
})

test('hashes are those of the Java broker, sign-extended tails included', () => {
  assert.equal(gsvHash('com.alibaba.user.UserService'), -638683557)
  assert.equal(gsvHash('com.alibaba.user.UserService.findById'), 1567202038)
  assert.equal(gsvHash('a'), 1086686554)
  assert.equal(gsvHash('group!com.alibaba.user.UserService:1.0.0'), -301012259)
  assert.equal(gsvHash('é'), -527561221)
  assert.equal(gsvHash('abcé'), -1562959021)
})

test('routing keys are parsed in the order of the Java broker', () => {
  const route = { group: '', version: '', endpoint: '', sticky: false }
  assert.deepEqual(parseGsv('com.acme.Users.find'), {
    ...route,
    service: 'com.acme.Users',
    method: 'find',
  })
  assert.equal(parseGsv('com.acme.Users.find:1:x').version, 'x', 'after the last colon')
  assert.deepEqual(parseGsv('g!com.acme.Users.find:1.0.0?e=ip:10.0.0.1', ['sticky=1']), {
    group: 'g',
    service: 'com.acme.Users',
    method: 'find',
    version: '1.0.0',
    endpoint: 'ip:10.0.0.1',
    sticky: true,
  })
  assert.deepEqual(parseGsv('com.acme.Users', ['m=find']), {
    ...route,
    service: 'com.acme.Users',
    method: 'find',
  })
  assert.equal(gsvServiceKey({ group: 'g', service: 's', version: 'v' }), 'g!s:v')
})

test('binary routing is read back and survives being short', () => {
  const routing = { serviceId: -5, handlerId: 1567202038, sticky: true, key: 'com.acme.Users.find' }
  assert.deepEqual(readBinaryRouting(renderBinaryRouting(routing)), routing)
  assert.equal(readBinaryRouting(Buffer.alloc(11)), undefined)
  const entry = renderComposite([
    { mime: ALIBABA_ID.binaryRouting, content: renderBinaryRouting(routing) },
  ])
  assert.equal(entry[0], 0xd0)
})

test('heads of HTTP messages are read back; no cut of one is taken for whole', () => {
  const text = fc.stringMatching(/^[!-~]{0,200}$/)
  const fields = fc.array(fc.tuple(fc.stringMatching(/^[a-z-]{1,20}$/), text), { maxLength: 8 })
  const heads: fc.Arbitrary<HttpRequestEntry> = fc.record(
    {
      method: fc.constantFrom('GET', 'POST'),
      path: text,
      authority: text,
      fields,
    },
    plain,
  )
  fc.assert(
    fc.property(heads, fc.integer({ min: 100, max: 599 }), (head, status) => {
      const content = renderHttpRequest(head)
      assert.deepEqual(readHttpRequest(content), head)
      assert.equal(readHttpResponse(content), undefined)
      const answer = { status, fields: head.fields }
      assert.deepEqual(readHttpResponse(renderHttpResponse(answer)), answer)
    }),
  )
  const content = renderHttpRequest({
    method: 'GET',
    path: '/',
    authority: 'a',
    fields: [['name', 'value']],
  })
  const headEnd = content.length - 11
  for (let to = 0; to < content.length; to++) {
    if (to !== headEnd) assert.equal(readHttpRequest(content.subarray(0, to)), undefined, `${to}`)
  }
})

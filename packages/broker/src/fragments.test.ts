import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  FRAME_FLAG,
  FRAME_TYPE,
  HTTP_ENTRY_MIME,
  renderComposite,
  renderHttpRequest,
} from '@weft/wire'
import { body, openRawBroker, routeTo } from './raw-fixture.ts'

const { metadata: M, follows: F, next: N } = FRAME_FLAG
const LATE = '1 error 204 metadata after the data of the request began'

/** The head of a message, which a judge of the route alone has not seen. */
const SECRET = renderComposite([
  {
    mime: HTTP_ENTRY_MIME,
    content: renderHttpRequest({ method: 'GET', path: '/admin', authority: 's', fields: [] }),
  },
])

test('metadata after data is refused, whether the request is known to be routed or still waits', async () => {
  const slow = Promise.withResolvers<void>()
  for (const waits of [false, true]) {
    const raw = await openRawBroker(
      {},
      waits
        ? {
            router: ({ registry, service }) => ({
              version: 0,
              async route(leg, call) {
                const own = service.answer(leg, call)
                if (own !== undefined) return own
                await slow.promise
                const [responder] = registry.find('s')
                return { kind: 'forward', isLasting: false, retries: 0, pick: () => responder }
              },
            }),
          }
        : {},
    )
    const responder = await raw.peer({ services: ['s'], instance: 'r' })
    const caller = await raw.peer()
    const first = body({ metadata: routeTo('s.public'), data: 'd' })
    caller.frame(1, FRAME_TYPE.requestResponse, M | F, first)
    caller.frame(1, FRAME_TYPE.payload, M | N, body({ metadata: SECRET, data: 'e' }))
    await caller.settled()
    assert.deepEqual(caller.take(), [LATE])
    await responder.settled()
    const heard = responder.take()
    assert.deepEqual(heard, waits ? [] : ['2 requestResponse F d', '2 cancel'])
    assert.equal(raw.broker.openStreams, 0)
    slow.resolve()
    raw.broker.close()
  }
})

test('metadata over several fragments, then data: all of it arrives, and later items may have metadata', async () => {
  const raw = await openRawBroker()
  const responder = await raw.peer({ services: ['s'], instance: 'r' })
  const caller = await raw.peer()
  const metadata = routeTo('s.m', 'tag=value')
  const n = 1
  const [a, b] = [metadata.subarray(0, 7), metadata.subarray(7)]
  caller.frame(1, FRAME_TYPE.requestChannel, M | F, body({ n, metadata: a }))
  caller.frame(1, FRAME_TYPE.payload, M | F | N, body({ metadata: b, data: 'x'.repeat(20) }))
  caller.frame(1, FRAME_TYPE.payload, F | N, Buffer.from('y'.repeat(20)))
  caller.frame(1, FRAME_TYPE.payload, N, Buffer.from('z'))
  await caller.settled()
  const more = Buffer.alloc(4)
  more.writeUInt32BE(1)
  responder.frame(2, FRAME_TYPE.requestN, 0, more)
  await responder.settled()
  await caller.settled()
  caller.take()
  caller.frame(1, FRAME_TYPE.payload, M | N, body({ metadata: Buffer.from('m'), data: 'item' }))
  await caller.settled()
  assert.deepEqual(caller.take(), [])
  await responder.settled()
  assert.equal(responder.take().at(-1), '2 payload N item')
  raw.broker.close()
})

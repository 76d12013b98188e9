import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  FrameView,
  METADATA_ID,
  readComposite,
  readFrame,
  renderBearer,
  renderComposite,
  renderRequest,
  renderRoutingTags,
} from '@weft/wire'
import { withoutUsedToken } from './shown-token.ts'

const USED = [{ remove: ['authorization'] }]

/** A request as the broker sees it, without the length in front. */
function request(interaction: 'rr' | 'stream' | 'channel'): Buffer {
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['s.m', 'k=v']) },
    { mime: METADATA_ID.authentication, content: renderBearer('secret') },
    { mime: 'message/x.other', content: Buffer.from('x') },
  ])
  return renderRequest(interaction, 7, { data: Buffer.from('data'), metadata }, 3).subarray(3)
}

function read(frame: Uint8Array) {
  const view = new FrameView()
  assert.equal(readFrame(view, frame, 0, frame.length), undefined)
  const { type, streamId, number } = view
  const entries = readComposite(frame.subarray(view.metadataFrom, view.metadataTo)) ?? []
  const data = String(Buffer.from(frame.subarray(view.dataFrom, view.dataTo)))
  return { type, streamId, number, data, entries: entries.map(({ mime }) => mime) }
}

describe('a token that one request shows', () => {
  for (const interaction of ['rr', 'stream', 'channel'] as const) {
    test(`goes no further than to who verifies it: ${interaction}`, () => {
      const frame = request(interaction)
      const bare = withoutUsedToken(frame, USED)
      assert.ok(bare !== undefined)
      assert.ok(!Buffer.from(bare).includes('secret'))
      const before = read(frame)
      const entries = before.entries.filter((mime) => !String(mime).includes('authentication'))
      assert.equal(entries.length, before.entries.length - 1)
      assert.deepEqual(read(bare), { ...before, entries })
    })
  }

  test('passes as it is where the rule forwards it', () => {
    const frame = request('rr')
    assert.equal(withoutUsedToken(frame, [{ remove: ['x-subject'] }]), frame)
    assert.equal(withoutUsedToken(frame, []), frame)
  })

  test('is not passed on in metadata that cannot be read', () => {
    assert.equal(withoutUsedToken(request('rr').subarray(0, 12), USED), undefined)
  })
})

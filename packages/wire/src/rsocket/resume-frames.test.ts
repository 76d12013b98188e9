import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '@weft/testkit'
import { FrameView, LENGTH_PREFIX_BYTES, readFrame } from './frames.ts'
import {
  isResumable,
  readResume,
  receivedPosition,
  renderResume,
  renderResumeOk,
} from './resume-frames.ts'

function viewOf(frame: Uint8Array): FrameView {
  const view = new FrameView()
  assert.equal(readFrame(view, frame, LENGTH_PREFIX_BYTES, frame.length), undefined)
  return view
}

test('RESUME and RESUME_OK are written as Protocol.md shows them, and read again', () => {
  const resume = {
    token: Buffer.from('tok'),
    lastReceivedServerPosition: 258,
    firstAvailableClientPosition: 2 ** 40,
  }
  const frame = renderResume(resume)
  assert.equal(
    frame.toString('hex'),
    `00001f${'00000000'}3400${'0001'}${'0000'}0003746f6b00000000000001020000010000000000`,
  )
  assert.deepEqual(readResume(viewOf(frame)), resume)
  const ok = renderResumeOk(77)
  assert.equal(ok.toString('hex'), '00000e0000000038000000000000 00004d'.replace(' ', ''))
  assert.equal(receivedPosition(viewOf(ok)), 77)
  assert.equal(isResumable(viewOf(ok)), false)
})

test('a RESUME that is cut, or of random bytes, is read or named, never more', () => {
  const whole = renderResume({
    token: Buffer.from('0123456789'),
    lastReceivedServerPosition: 1,
    firstAvailableClientPosition: 2,
  })
  for (let length = 9; length < whole.length; length++) {
    assert.equal(typeof readResume(viewOf(whole.subarray(0, length))), 'string', `${length} bytes`)
  }
  const random = seededRandom(7)
  for (let round = 0; round < 2_000; round++) {
    const frame = Buffer.from(whole)
    for (let i = 0; i < 3; i++)
      frame[9 + Math.floor(random() * (frame.length - 9))] = random() * 256
    const read = readResume(viewOf(frame))
    if (typeof read === 'string') continue
    assert.ok(read.token.length <= frame.length)
    assert.ok(Number.isSafeInteger(read.lastReceivedServerPosition))
  }
})

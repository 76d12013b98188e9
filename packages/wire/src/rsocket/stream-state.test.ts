import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FRAME_FLAG, FRAME_TYPE, type Interaction } from './frames.ts'
import {
  isStreamOver,
  openStream,
  STEP_DROP,
  STEP_ITEM,
  stateOf,
  stepStream,
} from './stream-state.ts'

const { complete: C, follows: F, next: N } = FRAME_FLAG
const { payload, cancel, error, requestN } = FRAME_TYPE

type Sent = readonly [from: 'requester' | 'responder', type: number, flags?: number]

/** Letters of what each frame did: `.` taken, `i` an item, `x` dropped; `|` where it was over. */
function run(interaction: Interaction, requestFlags: number, frames: readonly Sent[]): string {
  let state = openStream(interaction, requestFlags)
  let told = isStreamOver(state) ? '|' : ''
  for (const [from, type, flags = 0] of frames) {
    const step = stepStream(interaction, state, from === 'requester', type, flags)
    state = stateOf(step)
    told += (step & STEP_DROP) !== 0 ? 'x' : (step & STEP_ITEM) !== 0 ? 'i' : '.'
    if (isStreamOver(state) && !told.includes('|')) told += '|'
  }
  return told
}

test('request/response ends with any whole answer', () => {
  assert.equal(run('rr', 0, [['responder', payload, N | C]]), 'i|')
  assert.equal(run('rr', 0, [['responder', payload, N]]), 'i|', 'N without C')
  assert.equal(run('rr', 0, [['responder', payload, C]]), '.|', 'C without N')
  assert.equal(
    run('rr', 0, [
      ['responder', payload, N | F],
      ['responder', payload, N],
    ]),
    '.i|',
  )
  assert.equal(
    run('rr', 0, [
      ['responder', payload, N | F],
      ['responder', payload, 0],
    ]),
    '.i|',
  )
  assert.equal(run('rr', 0, [['responder', error]]), '.|')
  assert.equal(run('rr', 0, [['requester', cancel]]), '.|')
  assert.equal(
    run('rr', 0, [
      ['requester', payload, N],
      ['requester', requestN],
    ]),
    'xx',
  )
  assert.equal(
    run('rr', 0, [
      ['responder', requestN],
      ['responder', cancel],
    ]),
    'xx',
  )
  assert.equal(run('rr', 0, [['requester', error]]), 'x')
})

test('fire-and-forget ends with its last fragment and has no answer', () => {
  assert.equal(run('fnf', 0, []), '|')
  assert.equal(
    run('fnf', F, [
      ['requester', payload, N | F],
      ['requester', payload, N],
    ]),
    '..|',
  )
  assert.equal(
    run('fnf', F, [
      ['responder', payload, N],
      ['requester', payload, C],
    ]),
    'x.|',
  )
})

test('a stream ends with the responder, and counts items, not fragments', () => {
  assert.equal(
    run('stream', F, [
      ['requester', payload, N],
      ['responder', payload, N],
      ['responder', payload, N | F],
      ['responder', payload, 0],
      ['requester', requestN],
      ['responder', payload, C],
    ]),
    '.i.i..|',
  )
  assert.equal(run('stream', 0, [['responder', payload, N | F | C]]), 'i|', 'F with C is ignored')
})

test('a channel has two halves', () => {
  assert.equal(
    run('channel', 0, [
      ['requester', payload, N],
      ['requester', payload, C],
      ['requester', payload, N],
      ['responder', requestN],
      ['responder', payload, N],
      ['responder', payload, N | C],
    ]),
    'i.xxii|',
  )
  assert.equal(
    run('channel', C, [
      ['requester', payload, N],
      ['responder', payload, C],
    ]),
    'x.|',
  )
  assert.equal(
    run('channel', 0, [
      ['responder', cancel],
      ['requester', payload, N],
      ['responder', payload, C],
    ]),
    '.x.|',
    'CANCEL of the responder ends only the requester’s half',
  )
  assert.equal(run('channel', 0, [['requester', cancel]]), '.|')
  assert.equal(run('channel', 0, [['requester', error]]), '.|')
  assert.equal(
    run('channel', 0, [
      ['responder', payload, C],
      ['requester', payload, C],
    ]),
    '..|',
  )
  assert.equal(
    run('channel', F | C, [
      ['requester', payload, N],
      ['responder', payload, C],
    ]),
    '..|',
    'a fragmented request that completes; its payload costs no credit',
  )
})

test('whatever comes, a state is small, an end is final, and an open half stays explainable', () => {
  const interactions = fc.constantFrom<Interaction>('rr', 'fnf', 'stream', 'channel')
  const frames = fc.array(
    fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 63 }), fc.integer({ min: 0, max: 0x3ff })),
  )
  fc.assert(
    fc.property(
      interactions,
      fc.integer({ min: 0, max: 0x3ff }),
      frames,
      (interaction, flags, sent) => {
        let state = openStream(interaction, flags)
        for (const [fromRequester, type, frameFlags] of sent) {
          const before = state
          const step = stepStream(interaction, state, fromRequester, type, frameFlags)
          state = stateOf(step)
          assert.ok(state >= 0 && state < 64)
          if ((step & STEP_DROP) !== 0) assert.equal(state, before)
          if (isStreamOver(before)) assert.ok(isStreamOver(state))
          assert.equal(state & ~before & 3, 0, 'no half opens again')
        }
      },
    ),
    { numRuns: 2000 },
  )
})

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { realClock } from '@weft/base'
import { AccessLogs, MetricsRegistry } from '@weft/telemetry'
import { matchText } from '@weft/traffic'
import {
  FRAME_FLAG,
  FrameView,
  HTTP_ENTRY_MIME,
  METADATA_ID,
  readFrame,
  renderComposite,
  renderHttpResponse,
  renderPayload,
  renderRoutingTags,
} from '@weft/wire'
import type { Leg } from '../leg.ts'
import { readRequestCall } from '../request-call.ts'
import { StreamEntry } from '../stream-entry.ts'
import { CallLogs, type HeardAnswer } from './call-logs.ts'
import type { WorkloadFeeds } from './workload-feeds.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

const ADDRESS = { host: '10.0.0.9', port: 1 }
const LEG = {
  socket: { remoteAddress: ADDRESS, localAddress: ADDRESS },
  facts: { identity: { principal: undefined }, features: new Set() },
  owner: { nowMs: 0 },
} as unknown as Leg

function answer(fields: readonly (readonly [string, string])[]): FrameView {
  const content = renderHttpResponse({ status: 200, fields })
  const metadata = renderComposite([{ mime: HTTP_ENTRY_MIME, content }])
  const flags = FRAME_FLAG.next | FRAME_FLAG.complete
  const frame = renderPayload(1, { data: Buffer.from(''), metadata }, flags)
  const view = new FrameView()
  // Behind its length.
  assert.equal(readFrame(view, frame, 3, frame.length), undefined)
  return view
}

/** The line of the caller's end for a call with the trace `traceId` in its tracing entry. */
async function lineOf(traceId: string, view: FrameView, heard?: HeardAnswer): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'weft-call-logs-'))
  const path = join(folder, 'log')
  // Ids, sampled, and a trace id of 128 bits when it is that long.
  const flags = traceId.length === 32 ? 0xa8 : 0xa0
  const content = Buffer.concat([Buffer.of(flags), Buffer.from(traceId + 'b2'.repeat(8), 'hex')])
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(['s.m']) },
    { mime: METADATA_ID.tracing, content },
  ])
  const call = readRequestCall('stream', metadata, 0, metadata.length, 'composite', undefined)
  assert.ok(typeof call !== 'string')
  const template = '%TRACE_ID% %RESP(X-SHADE)% %RESP(X-LIMIT)% %RESP(X-NONE)%\n'
  const outbound = [{ path, format: { kind: 'text', template } }]
  const policy = { logs: { inbound: [], outbound } } as unknown as WorkloadPolicy
  const logs = new AccessLogs(realClock, undefined, new MetricsRegistry(), matchText)
  const feeds = { kindOf: () => undefined } as unknown as WorkloadFeeds
  const calls = new CallLogs({ feeds, logs, wallMs: () => 0 })
  const observer = calls.observing(
    {
      ...{ leg: LEG, request: call, policy, trace: call.trace, heard },
      ...{ routeName: undefined, cluster: undefined },
    },
    { onItem() {}, onEnd() {} },
  )
  const entry = new StreamEntry(LEG, 1, 'stream', 0)
  observer.onItem(entry, false, view)
  observer.onEnd(entry, 0)
  await logs.close()
  const text = readFileSync(path, 'utf8')
  rmSync(folder, { recursive: true })
  return text.trim()
}

test('a line has the trace of the tracing entry, as long as others have it', async () => {
  const none = answer([])
  assert.match(await lineOf('a1'.repeat(16), none), /^(a1){16} /)
  assert.match(await lineOf('a1'.repeat(8), none), /^0{16}(a1){8} /)
})

test('a line has fields of the head of the answer, all lines of each', async () => {
  const view = answer([
    ['x-shade', 'dark'],
    ['x-shade', 'red'],
  ])
  assert.match(await lineOf('a1'.repeat(8), view), / dark,red - -$/)
})

test('of an answer that the route changes a line has the head as it came', async () => {
  const head = { status: 200, fields: [['x-shade', 'dark'] as const] }
  const handedOn = { status: 200, fields: [...head.fields, ['x-limit', '3'] as const] }
  const changed = answer([['x-none', 'set by the route']])
  assert.match(await lineOf('a1'.repeat(8), changed, { head, handedOn }), / dark 3 -$/)
})

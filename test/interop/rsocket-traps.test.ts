/**
 * What the real clients stumble over, and that the broker keeps it from them; the list of all traps
 * is in packages/broker/src/traps.test.ts.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { eventually } from '@weft/testkit'
import { missing } from './peers.ts'
import { alpha } from './rsocket-alpha.ts'
import { field } from './rsocket-field.ts'
import {
  type InteropBrokers,
  openInteropBroker,
  openInteropCluster,
} from './rsocket-interop-fixture.ts'
import { METHOD, routed } from './rsocket-program.ts'
import { npmPrograms, programs } from './rsocket-programs.ts'
import { sdk } from './rsocket-sdk.ts'

const SERVICE = 'traps.Service'
const KEY = `${SERVICE}.${METHOD}`
/** rsocket-java counts the three bytes of the length, which RSocket does not. */
const LONGEST_FRAME_BYTES = 0xff_ff_ff - 3
const HEADER_BYTES = 6
const METADATA_LENGTH_BYTES = 3

describe('traps of real clients', () => {
  let fixture: InteropBrokers

  beforeEach(async () => {
    fixture = await openInteropBroker()
  })

  afterEach(async () => {
    await fixture.allGone()
    await fixture.close()
  })

  for (const kind of programs.filter((each) => each !== alpha)) {
    test(`trap 2: ${kind.name} takes METADATA_PUSH if it says so`, {
      skip: kind.skip,
    }, async () => {
      const { program } = await fixture.dialResponder(kind, 'tcp', SERVICE, { takesEvents: true })
      fixture.broker.announceBrokers(['tcp://a:1'])
      assert.deepEqual(await program.response(KEY, 'still there'), ['still there'])
    })
  }

  test('trap 2: 1.0.0-alpha.3 lives, because it is never told; if it were, it would be gone', async () => {
    const { program } = await fixture.dialResponder(alpha, 'tcp', SERVICE)
    fixture.broker.announceBrokers(['tcp://a:1'])
    assert.deepEqual(await program.response(KEY, 'still there'), ['still there'])
    await fixture.allGone()
    await fixture.dial(alpha, 'tcp', { services: [SERVICE], takesEvents: true })
    await eventually(() => assert.equal(fixture.broker.connections, 0))
  })

  for (const kind of npmPrograms) {
    test(`trap 3: a drain does not end what ${kind.name} has asked`, async () => {
      let answer = (_text: string) => {}
      const asked = new Promise<void>((resolve) => {
        void fixture.dialResponder(kind, 'tcp', SERVICE, {
          answer: () =>
            new Promise<string>((give) => {
              answer = give
              resolve()
            }),
        })
      })
      await eventually(() => assert.equal(fixture.broker.registry.find(SERVICE).length, 1))
      const requester = await fixture.dial(kind, 'tcp')
      const answers = requester.response(KEY, 'before')
      await asked
      const drained = fixture.broker.drain({ deadlineMs: 10_000 })
      assert.deepEqual(await requester.response(KEY, 'after'), ['#202 WEFT-503 draining'])
      answer('answered')
      assert.deepEqual(await answers, ['answered'])
      await drained
    })
  }

  for (const kind of programs) {
    for (const server of npmPrograms) {
      const name = `trap 12: a frame of 16 MB, which ${server.name} never splits, reaches ${kind.name}`
      test(name, { skip: kind.skip }, async () => {
        const answer = 'm'.repeat(LONGEST_FRAME_BYTES - HEADER_BYTES)
        await fixture.dialResponder(server, 'tcp', SERVICE, {
          answer: () => answer,
        })
        const requester = await fixture.dial(kind, 'tcp')
        const [got] = await requester.response(KEY, '')
        assert.equal(got?.length, answer.length)
        assert.ok(got === answer)
      })
    }
  }

  const noEtcd = missing('etcd')
  test('trap 12: a request of 16 MB in one frame passes two brokers, who add to it', {
    skip: noEtcd,
  }, async () => {
    const cluster = await openInteropCluster()
    try {
      await cluster.dialResponder(sdk, 'tcp', SERVICE, { answer: (data) => String(data.length) })
      const requester = await cluster.dial(field, 'tcp')
      const besides = HEADER_BYTES + METADATA_LENGTH_BYTES + routed(KEY, '').metadata.length
      const bytes = 0xff_ff_ff - besides
      assert.deepEqual(await requester.response(KEY, 'm'.repeat(bytes)), [String(bytes)])
    } finally {
      await cluster.allGone()
      await cluster.close()
    }
  })

  for (const kind of programs.filter((each) => each.sendsFragments)) {
    const { name, skip } = kind
    test(`trap 6: a fire-and-forget that ${name} sends in fragments`, { skip }, async () => {
      const { told } = await fixture.dialResponder(field, 'tcp', SERVICE)
      const requester = await fixture.dial(kind, 'tcp', { fragmentBytes: 4096 })
      const large = 'f'.repeat(300_000)
      requester.fireAndForget(KEY, large)
      await eventually(() => assert.deepEqual(told, [large]))
      await eventually(() => assert.equal(fixture.broker.openStreams, 0))
    })

    test(`trap 7: a key that ${name} spreads over fragments`, { skip }, async () => {
      await fixture.dialResponder(field, 'tcp', SERVICE)
      const requester = await fixture.dial(kind, 'tcp', { fragmentBytes: 64 })
      const data = 'd'.repeat(500)
      assert.deepEqual(await requester.response(`${KEY}-${'k'.repeat(150)}`, data), [data])
    })
  }

  for (const kind of npmPrograms) {
    test(`trap 24: ${kind.name} that wants to resume is refused at once`, async () => {
      const program = await fixture.dial(kind, 'tcp', { resumeToken: 'token' })
      assert.match(String(await program.response(KEY, '')), /resumption is not supported/)
      await eventually(() => assert.equal(fixture.broker.connections, 0))
    })
  }
})

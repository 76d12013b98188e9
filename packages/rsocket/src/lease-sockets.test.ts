import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { eventually } from '@weft/testkit'
import { type ClientStatus, RSocketError } from './index.ts'
import { collect, openBroker, openClient, type TestBroker } from './sdk-fixture.ts'

const WORKER = fileURLToPath(new URL('./lease-worker.ts', import.meta.url))

async function openLeased(t: TestContext, { uri }: TestBroker, initial: number) {
  const worker = new Worker(WORKER, { workerData: { uri, lease: { initial } } })
  await once(worker, 'message')
  t.after(async () => {
    worker.postMessage('close')
    await once(worker, 'exit')
  })
}

function leasedBy({ broker }: TestBroker): number {
  const leg = [...broker.legs].find((each) => each.isOpen && each.facts.instance?.id === 'leased')
  return leg?.lease?.requests ?? 0
}

test('an event loop that stands still leases less, and more again when it does not', async (t) => {
  const broker = await openBroker(t)
  await openLeased(t, broker, 100)
  const client = await openClient(t, [broker])
  await eventually(() => assert.ok(leasedBy(broker) >= 99))
  await client.requestResponse('s', 'stall', '600')
  await eventually(() => assert.ok(leasedBy(broker) <= 25, `still ${leasedBy(broker)}`))
  // The machine's other work is a stall, too: it may take long until there is none.
  await eventually(() => assert.ok(leasedBy(broker) >= 90, `only ${leasedBy(broker)}`), 60_000)
})

test('no more requests come than were leased: what is above is REJECTED when it may not wait', async (t) => {
  const broker = await openBroker(t)
  await openLeased(t, broker, 50)
  const client = await openClient(t, [broker], { waitForLinkMs: 0 })
  await eventually(() => assert.ok(leasedBy(broker) >= 50))
  const stalled = client.requestResponse('s', 'stall', '300')
  await eventually(() => assert.equal(broker.broker.openStreams, 1))
  const ids = Array.from({ length: 500 }, () => client.requestResponse('s', 'count'))
  const settled = await Promise.allSettled(ids)
  await stalled
  const done = settled.filter(({ status }) => status === 'fulfilled').length
  assert.ok(done <= 50, `${done} of 500 came to a process that had leased 50`)
  assert.ok(done >= 40, `only ${done} of 50 were used`)
  for (const one of settled) {
    if (one.status === 'rejected')
      assert.ok(one.reason instanceof RSocketError && one.reason.retrySafe)
  }
  await eventually(async () => {
    const status = (await client.requestResponse('s', 'status')).json() as ClientStatus
    for (const { leased, received } of status.links) assert.ok(received <= leased)
  })
  // Under a load that it is fit for, it never runs dry.
  for (let i = 0; i < 1_000; i++) await client.requestResponse('s', 'count')
})

test('a burst above what is leased waits for leases, and all of it is done', async (t) => {
  const broker = await openBroker(t)
  let [under, most] = [0, 0]
  await openClient(t, [broker], {
    lease: { initial: 50, max: 50 },
    services: {
      s: {
        async work(request) {
          most = Math.max(most, ++under)
          await new Promise<void>((resolve) => setImmediate(resolve))
          under--
          return request.data
        },
        async *items(request) {
          yield request.data
        },
      },
    },
  })
  const client = await openClient(t, [broker])
  const answers = Array.from({ length: 2_000 }, async (_, i) =>
    i % 4 === 0
      ? (await collect(client.requestStream('s', 'items', `${i}`))).join()
      : (await client.requestResponse('s', 'work', `${i}`)).text(),
  )
  assert.deepEqual(
    await Promise.all(answers),
    answers.map((_, i) => `${i}`),
  )
  assert.ok(most <= 50, `${most} at once, where 50 were leased`)
  const patient = await openClient(t, [broker], { limits: { waitingCalls: 10 } })
  const burst = Array.from({ length: 200 }, () => patient.requestResponse('s', 'work'))
  const failed = (await Promise.allSettled(burst)).filter(({ status }) => status === 'rejected')
  assert.ok(failed.length > 0, 'no more than ten may wait')
  for (const one of failed) assert.ok(one.status === 'rejected' && one.reason.retrySafe)
})

test('who is asked slowly holds no more than a window of a stream, at either end', async (t) => {
  const broker = await openBroker(t)
  let made = 0
  await openClient(t, [broker], {
    services: {
      s: {
        async *endless() {
          for (;;) {
            made++
            yield new Uint8Array(10_000)
          }
        },
        async *eat(request) {
          for await (const item of request.items) {
            await new Promise<void>((resolve) => setImmediate(resolve))
            yield `${item.data.length}`
            if (item.data.length === 1) return
          }
        },
      },
    },
  })
  const client = await openClient(t, [broker], { limits: { prefetch: 16 } })
  const stream = client.requestStream('s', 'endless')
  for (let i = 0; i < 100; i++) await stream.next()
  await eventually(() => assert.ok(made >= 100))
  for (let i = 0; i < 200; i++) await new Promise<void>((resolve) => setImmediate(resolve))
  assert.ok(made <= 100 + 16 + 128, `${made} items were made for 100 that were consumed`)
  await stream.return()
  let given = 0
  const source = function* () {
    for (; given < 5_000; given++) yield new Uint8Array(10)
  }
  const channel = client.requestChannel('s', 'eat', source())
  for (let i = 0; i < 10; i++) await channel.next()
  for (let i = 0; i < 200; i++) await new Promise<void>((resolve) => setImmediate(resolve))
  assert.ok(given <= 10 + 16 + 2 * 64 + 128, `${given} items were taken for 10 that were consumed`)
  await channel.return()
  await eventually(() => assert.equal(broker.broker.openStreams, 0))
})

test('a token is renewed in place before it ends; the link stays', async (t) => {
  const shown: string[] = []
  const broker = await openBroker(t, 'tcp', {
    authenticate: async (_leg, { credentials }) => {
      if (credentials?.type === 'bearer') shown.push(credentials.token)
      return { principal: undefined, claims: undefined }
    },
    onMetadataPush: (_leg, metadata) => void shown.push(Buffer.from(metadata).toString()),
  })
  let made = 0
  const client = await openClient(t, [broker], { token: async () => `token-${++made}` })
  assert.deepEqual(shown, ['token-1'])
  const [leg] = [...broker.broker.legs]
  await client.refreshToken()
  await eventually(() => assert.match(shown[1] ?? '', /"token":\{"jwt":"token-2"\}/))
  assert.equal([...broker.broker.legs][0], leg)
})

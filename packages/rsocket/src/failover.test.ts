import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '@weft/testkit'
import { type Methods, type RSocketClient, RSocketError } from './index.ts'
import { openBroker, openClient, type TestBroker } from './sdk-fixture.ts'

/** Counts how often each request is run. */
function counting(run: () => Promise<unknown> = async () => undefined) {
  const counts = new Map<string, number>()
  const methods: Methods = {
    async do(request) {
      const id = request.text()
      counts.set(id, (counts.get(id) ?? 0) + 1)
      await run()
      return id
    },
  }
  return { counts, methods }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

async function isUpAt(client: RSocketClient, brokers: readonly TestBroker[]): Promise<void> {
  await eventually(() => {
    const up = client.status().links.filter(({ isUp }) => isUp)
    assert.deepEqual(up.map(({ broker }) => broker).sort(), brokers.map(({ uri }) => uri).sort())
  })
}

test('a broker restarts: both sides come back by themselves, with what they offer', async (t) => {
  const first = await openBroker(t)
  const { methods } = counting()
  const server = await openClient(t, [first], { services: { s: methods } })
  const client = await openClient(t, [first])
  await server.handle('later', methods)
  first.broker.close()
  await eventually(() => assert.equal(client.status().links[0]?.isUp, false))
  // It waits for a link; where there is one again, `s` may not be yet.
  const waiting = Promise.allSettled([client.requestResponse('s', 'do', 'while it is away')])
  const second = await openBroker(t, 'tcp', { port: first.port })
  await isUpAt(server, [second])
  await isUpAt(client, [second])
  const [early] = await waiting
  if (early.status === 'rejected') assert.ok(early.reason.retrySafe, early.reason.message)
  assert.equal((await client.requestResponse('s', 'do', '1')).text(), '1')
  assert.equal((await client.requestResponse('later', 'do', '2')).text(), '2')
})

test('one of two brokers dies: what may have run is not run again, everything else is done', async (t) => {
  const brokers = [await openBroker(t), await openBroker(t)]
  const { counts, methods } = counting(turn)
  const server = await openClient(t, brokers, { services: { s: methods } })
  const client = await openClient(t, brokers)
  await isUpAt(server, brokers)
  await isUpAt(client, brokers)
  const results = new Map<string, 'done' | RSocketError>()
  const ask = async (id: string) => {
    try {
      await client.requestResponse('s', 'do', id)
      results.set(id, 'done')
    } catch (error) {
      assert.ok(error instanceof RSocketError)
      results.set(id, error)
    }
  }
  const calls: Promise<void>[] = []
  for (let i = 0; i < 2_000; i++) {
    calls.push(ask(`${i}`))
    if (i % 20 === 0) await turn()
    if (i === 1_000) brokers[0]?.broker.close()
  }
  await Promise.all(calls)
  for (const [id, result] of results) {
    const runs = counts.get(id) ?? 0
    if (result === 'done') assert.equal(runs, 1, `${id} was run ${runs} times`)
    else {
      assert.ok(runs <= 1, `${id} failed and was run ${runs} times`)
      assert.equal(result.codeName, 'CANCELED', result.message)
    }
  }
  const lost = [...results.values()].filter((result) => result !== 'done')
  assert.ok(lost.length < 200, `${lost.length} of 2,000 were lost: only those under way may be`)
  assert.equal((await client.requestResponse('s', 'do', 'after')).text(), 'after')
})

test('a link dies with calls under way: idempotent ones are asked again, others are CANCELED', async (t) => {
  const brokers = [await openBroker(t), await openBroker(t)]
  const released = Promise.withResolvers<void>()
  const { counts, methods } = counting(() => released.promise)
  const server = await openClient(t, brokers, { services: { s: methods } })
  let [asked, isCut] = [false, false]
  const client = await openClient(t, brokers, {
    instance: 'client',
    onLinkChange: ({ links }) => {
      isCut ||= asked && links.some(({ isUp }) => !isUp)
    },
  })
  await isUpAt(server, brokers)
  await isUpAt(client, brokers)
  const ids = Array.from({ length: 8 }, (_, i) => `${i}`)
  const calls = Promise.allSettled(ids.map((id) => client.requestResponse('s', 'do', id)))
  const safe = ids.map((id) => client.requestResponse('s', 'do', `safe${id}`, { idempotent: true }))
  await eventually(() => assert.equal(counts.size, 16))
  asked = true
  for (const leg of [...(brokers[0]?.broker.legs ?? [])]) {
    if (leg.facts.instance?.id === 'client') leg.abort('test')
  }
  await eventually(() => assert.ok(isCut))
  released.resolve()
  const settled = await calls
  for (const answer of await Promise.all(safe)) assert.match(answer.text(), /^safe/)
  const failures = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  assert.ok(failures.length > 0, 'none of 16 calls went by the broker whose link died')
  for (const error of failures) {
    assert.ok(error instanceof RSocketError && error.codeName === 'CANCELED' && !error.retrySafe)
  }
  for (const id of ids) assert.equal(counts.get(id), 1)
  await isUpAt(client, brokers)
})

test('the responder behind a broker is lost: what is idempotent is asked of another one, the rest is CANCELED', async (t) => {
  const broker = await openBroker(t)
  const released = Promise.withResolvers<void>()
  const { counts, methods } = counting(() => released.promise)
  for (const instance of ['first', 'second']) {
    await openClient(t, [broker], { instance, links: 1, services: { s: methods } })
  }
  const client = await openClient(t, [broker])
  const ids = Array.from({ length: 8 }, (_, i) => `${i}`)
  const calls = Promise.allSettled(ids.map((id) => client.requestResponse('s', 'do', id)))
  const safe = ids.map((id) => client.requestResponse('s', 'do', `safe${id}`, { idempotent: true }))
  await eventually(() => assert.equal(counts.size, 16))
  const victim = [...broker.broker.legs].find(({ facts }) => facts.instance?.id === 'first')
  victim?.abort('test')
  await eventually(() => assert.ok([...counts.values()].some((count) => count > 1)))
  released.resolve()
  for (const answer of await Promise.all(safe)) assert.match(answer.text(), /^safe/)
  const failures = (await calls).flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
  assert.ok(failures.length > 0)
  for (const error of failures) {
    assert.ok(error instanceof RSocketError && error.codeName === 'CANCELED' && !error.retrySafe)
  }
  for (const id of ids) assert.equal(counts.get(id), 1)
})

test('a broker drains: the new link comes first, then the old one goes; nothing is lost', async (t) => {
  const first = await openBroker(t)
  const [second, third] = [await openBroker(t), await openBroker(t)]
  const { counts, methods } = counting(turn)
  const server = await openClient(t, [first, second], { services: { s: methods } })
  let [asked, isOver] = [0, false]
  let fewestUp = 2
  const client = await openClient(t, [first, second], {
    onLinkChange: ({ links }) => {
      if (asked > 0) fewestUp = Math.min(fewestUp, links.filter(({ isUp }) => isUp).length)
    },
  })
  for (const each of [server, client]) await isUpAt(each, [first, second])
  const load = async () => {
    while (!isOver) {
      const id = `${asked++}`
      assert.equal((await client.requestResponse('s', 'do', id)).text(), id)
    }
  }
  const loads = Array.from({ length: 8 }, load)
  await eventually(() => assert.ok(asked > 200))
  await first.broker.drain({ deadlineMs: 5_000, graceMs: 300, replaceWith: [third.uri] })
  for (const each of [server, client]) await isUpAt(each, [second, third])
  const before = asked
  await eventually(() => assert.ok(asked > before + 200))
  isOver = true
  await Promise.all(loads)
  assert.equal(fewestUp, 2)
  assert.equal(counts.size, asked)
  for (const count of counts.values()) assert.equal(count, 1)
})

test('a responder closes under load: it is told to nobody any more, ends what it has, and nothing is lost', async (t) => {
  const brokers = [await openBroker(t), await openBroker(t)]
  const [one, two] = [counting(turn), counting(turn)]
  const leaving = await openClient(t, brokers, { services: { s: one.methods } })
  const staying = await openClient(t, brokers, { services: { s: two.methods } })
  const client = await openClient(t, brokers)
  for (const each of [leaving, staying, client]) await isUpAt(each, brokers)
  let [asked, isOver] = [0, false]
  const load = async () => {
    while (!isOver) await client.requestResponse('s', 'do', `${asked++}`)
  }
  const loads = Array.from({ length: 16 }, load)
  await eventually(() => assert.ok(one.counts.size > 100))
  await leaving.close()
  const before = asked
  await eventually(() => assert.ok(asked > before + 100))
  isOver = true
  await Promise.all(loads)
  assert.equal(one.counts.size + two.counts.size, asked)
  await assert.rejects(leaving.requestResponse('s', 'do'), /the client is closed/)
})

test('a broker that cannot be reached is replaced by another one', async (t) => {
  const brokers = [await openBroker(t), await openBroker(t), await openBroker(t)]
  const client = await openClient(t, brokers, { links: 1 })
  const first = brokers.find(({ uri }) => uri === client.status().links[0]?.broker)
  first?.broker.close()
  await eventually(() => {
    const [link] = client.status().links
    assert.ok(link?.isUp && link.broker !== first?.uri)
  })
})

test('brokers tell where others are; nobody is moved from one kind of link to another', async (t) => {
  const [first, second] = [await openBroker(t), await openBroker(t)]
  const client = await openClient(t, [first], { links: 2 })
  const plain = [`ws://127.0.0.1:${second.port}/`, 'nonsense', 'tls://127.0.0.1:1']
  first.broker.announceBrokers([first.uri, second.uri, ...plain])
  await isUpAt(client, [first, second])
  first.broker.announceBrokers([second.uri])
  await eventually(() => assert.equal(client.status().links.length, 1))
  await isUpAt(client, [second])
})

test('a stream that is cut goes on where its consumer says', async (t) => {
  const brokers = [await openBroker(t), await openBroker(t)]
  const server = await openClient(t, brokers, {
    services: {
      numbers: {
        async *from(request) {
          for (let i = Number(request.text()); i < 500; i++) {
            await turn()
            yield `${i}`
          }
        },
      },
    },
  })
  const client = await openClient(t, brokers, { instance: 'client' })
  await isUpAt(server, brokers)
  await isUpAt(client, brokers)
  const items: number[] = []
  let [cuts, resumed] = [0, 0]
  const stream = client.requestStream('numbers', 'from', '0', {
    resubscribe: (last) => {
      resumed++
      return last === undefined ? '0' : `${Number(last.text()) + 1}`
    },
  })
  for await (const item of stream) {
    items.push(Number(item.text()))
    if (items.length % 150 !== 0) continue
    cuts++
    for (const { broker } of brokers) {
      for (const leg of [...broker.legs]) {
        if (leg.isOpen && leg.facts.instance?.id === 'client') leg.abort('test')
      }
    }
  }
  assert.deepEqual(
    items,
    Array.from({ length: 500 }, (_, i) => i),
  )
  assert.equal(cuts, 3)
  assert.ok(resumed >= 3)
  const cut = client.requestStream('numbers', 'from', '0')
  await assert.rejects(async () => {
    for await (const item of cut) {
      if (item.text() !== '5') continue
      for (const { broker } of brokers) for (const leg of [...broker.legs]) leg.abort('test')
    }
  }, /the connection to the broker is lost/)
})

test('with one link, what was REJECTED is asked again there after a pause, within the budget', async (t) => {
  const broker = await openBroker(t)
  let runs = 0
  let refuses = (run: number): boolean => run === 1
  await openClient(t, [broker], {
    services: {
      s: {
        do: () => {
          if (refuses(++runs)) throw new RSocketError('REJECTED', 'not now')
          return 'done'
        },
        async *items() {
          if (refuses(++runs)) throw new RSocketError('REJECTED', 'not now')
          yield 'done'
        },
      },
    },
  })
  const client = await openClient(t, [broker])
  assert.equal((await client.requestResponse('s', 'do')).text(), 'done')
  assert.equal(runs, 2)
  runs = 0
  for await (const item of client.requestStream('s', 'items')) assert.equal(item.text(), 'done')
  assert.equal(runs, 2)
  runs = 0
  refuses = () => true
  const calls = Array.from({ length: 200 }, () => client.requestResponse('s', 'do'))
  for (const one of await Promise.allSettled(calls)) {
    assert.ok(one.status === 'rejected' && one.reason.message === 'not now')
  }
  assert.ok(runs > 200 && runs <= 200 + 0.2 * 200 + 10, `200 calls were asked ${runs} times`)
  const start = runs
  await assert.rejects(client.requestResponse('s', 'do', '', { timeoutMs: 5 }))
  assert.ok(runs - start <= 3)
})

/** Several brokers as one: calls over them, and what becomes of them when something goes. */
import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { realClock } from '@weft/base'
import { eventually } from '@weft/testkit'
import type { RSocketStream } from '@weft/wire'
import { echo, routed, SILENT } from '../broker-fixture.ts'
import {
  createAuthority,
  type Node,
  type NodeOptions,
  openNode,
  renewals,
} from './cluster-fixture.ts'
import { ModelEtcd } from './model-etcd-fixture.ts'

const ca = createAuthority()
const nodes: Node[] = []

afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()))
})

async function open(
  etcd: ModelEtcd,
  options: Partial<NodeOptions> & { id: string },
): Promise<Node> {
  const node = await openNode({ etcd, ca, ...options })
  nodes.push(node)
  return node
}

async function pair(etcd = new ModelEtcd(realClock)): Promise<[Node, Node, ModelEtcd]> {
  const one = await open(etcd, { id: 'b1' })
  const two = await open(etcd, { id: 'b2' })
  await linked(one, two)
  return [one, two, etcd]
}

async function linked(...all: readonly Node[]): Promise<void> {
  await eventually(() => {
    for (const { member } of all) {
      const { brokers } = member.status
      assert.equal(brokers.filter(({ link }) => link === 'up').length, all.length - 1)
    }
  })
}

const knows = (node: Node, service: string, links = 1) =>
  eventually(() => assert.equal(node.broker.registry.find(service).length, links))

test('all four interactions go over two brokers, whichever of them dialled', async () => {
  const [one, two] = await pair()
  for (const [near, far, service] of [
    [one, two, 'a.Two'],
    [two, one, 'a.One'],
  ] as const) {
    const fnf: string[] = []
    const responder = await far.dial({ services: [service] })
    responder.answer = (stream, payload) => {
      if (stream.interaction === 'fnf') fnf.push(String(payload.data))
      else echo(200)(stream, payload)
    }
    await knows(near, service)
    const caller = await near.dial()
    assert.deepEqual(await caller.ask('rr', routed(`${service}.add`, 'x')), ['x'])
    assert.equal((await caller.ask('stream', routed(`${service}.list`, 'y'))).length, 200)
    const talk: string[] = []
    const channel = caller.peer.request('channel', routed(`${service}.talk`, '0'), {
      ...SILENT,
      onItem: (item, complete) => talk.push(`${String(item.data)}${complete ? ' end' : ''}`),
      onRequestN: () => {
        if (channel.credit < 2 || !channel.maySend) return
        channel.next({ data: Buffer.from('1') })
        channel.next({ data: Buffer.from('2') }, true)
      },
    })
    await eventually(() => assert.deepEqual(talk, ['1', '2 end']))
    void caller.ask('fnf', routed(`${service}.tell`, 'heard'))
    await eventually(() => assert.deepEqual(fnf, ['heard']))
  }
})

test('fragments, and a request that the hop entry makes too long for a frame, arrive whole', async () => {
  const [one, two] = await pair()
  const responder = await two.dial({ services: ['a.Large'], sendFrameBytes: 100 })
  responder.answer = echo()
  await knows(one, 'a.Large')
  const small = await one.dial({ sendFrameBytes: 64 })
  const tags = [`k=${'v'.repeat(200)}`]
  const data = 'd'.repeat(1_000)
  assert.deepEqual(await small.ask('rr', routed('a.Large.echo', data, tags)), [data])
  assert.equal((await small.ask('stream', routed('a.Large.echo', data, tags))).length, 3)
  const huge = 'h'.repeat(0xff_ff_ff - 6 - 3 - 18)
  const caller = await one.dial()
  const [back] = await caller.ask('rr', routed('a.Large.echo', huge))
  assert.equal(back?.length, huge.length)
})

test('an instance at both brokers is asked where the caller is; behind the other one when it is gone', async () => {
  const [one, two] = await pair()
  const near = await one.dial({ services: ['a.B'], instance: 'i', link: 0 })
  const far = await two.dial({ services: ['a.B'], instance: 'i', link: 1 })
  near.answer = (stream) => stream.next({ data: Buffer.from('near') }, true)
  far.answer = (stream) => stream.next({ data: Buffer.from('far') }, true)
  await knows(one, 'a.B', 2)
  const caller = await one.dial()
  for (let i = 0; i < 20; i++) assert.deepEqual(await caller.ask('rr', routed('a.B.c')), ['near'])
  near.close()
  await knows(one, 'a.B', 1)
  assert.deepEqual(await caller.ask('rr', routed('a.B.c')), ['far'])
  assert.equal(one.broker.counters.hopsOut, 1)
  assert.equal(two.broker.counters.hopsIn, 1)
})

test('an instance that left while etcd is away: its broker says that it is gone, not that it is busy', async () => {
  const [one, two, etcd] = await pair()
  const leaving = await two.dial({ services: ['a.B'] })
  leaving.answer = echo()
  await knows(one, 'a.B')
  const caller = await one.dial()
  assert.deepEqual(await caller.ask('rr', routed('a.B.c', 'x')), ['x'])
  etcd.stop()
  leaving.close()
  await knows(two, 'a.B', 0)
  await eventually(async () =>
    assert.deepEqual(await caller.ask('rr', routed('a.B.c')), [
      '#202 WEFT-503 the instance has left its broker',
    ]),
  )
})

test('the newest connection of a link wins in the whole cluster, and the older is told to go', async () => {
  const [one, two] = await pair()
  const older = await one.dial({ services: ['a.B'], instance: 'i', link: 0 })
  older.answer = (stream) => stream.next({ data: Buffer.from('older') }, true)
  await knows(two, 'a.B')
  const newer = await two.dial({ services: ['a.B'], instance: 'i', link: 0 })
  newer.answer = (stream) => stream.next({ data: Buffer.from('newer') }, true)
  await eventually(() => assert.ok(older.closed))
  assert.ok(!newer.closed)
  for (const node of [one, two]) {
    await knows(node, 'a.B', 1)
    const caller = await node.dial()
    assert.deepEqual(await caller.ask('rr', routed('a.B.c')), ['newer'])
  }
})

test('links of other numbers, and of other instances, stand beside each other', async () => {
  const [one, two] = await pair()
  await one.dial({ services: ['a.B'], instance: 'i', link: 0 })
  await two.dial({ services: ['a.B'], instance: 'i', link: 1 })
  await two.dial({ services: ['a.B'], instance: 'k', link: 0 })
  await knows(one, 'a.B', 3)
  await knows(two, 'a.B', 3)
})

test('etcd away: calls go on, what comes is served, and afterwards all is as it should be', async () => {
  const [one, two, etcd] = await pair()
  const responder = await two.dial({ services: ['a.Old'] })
  responder.answer = echo()
  await knows(one, 'a.Old')
  etcd.stop()
  await eventually(() => assert.equal(one.member.status.state, 'away'))
  const caller = await one.dial()
  assert.deepEqual(await caller.ask('rr', routed('a.Old.x', '1')), ['1'])
  const fresh = await one.dial({ services: ['a.New'] })
  fresh.answer = echo()
  assert.deepEqual(await caller.ask('rr', routed('a.New.x', '2')), ['2'])
  assert.equal(two.broker.registry.find('a.New').length, 0)
  etcd.start()
  await knows(two, 'a.New')
  const other = await two.dial()
  assert.deepEqual(await other.ask('rr', routed('a.New.x', '3')), ['3'])
  assert.equal(one.member.status.state, 'connected')
})

test('a lost lease: everything is registered again', async () => {
  const etcd = new ModelEtcd(realClock)
  const one = await open(etcd, { id: 'b1' })
  await one.dial({ services: ['a.B', 'a.C'] })
  await eventually(() => assert.equal(etcd.kvs.size, 3))
  etcd.revokeAll()
  assert.equal(etcd.kvs.size, 0)
  await eventually(() => assert.equal(etcd.kvs.size, 3))
})

test('applications are told of brokers that come and go', async () => {
  const etcd = new ModelEtcd(realClock)
  const one = await open(etcd, { id: 'b1', zone: 'a' })
  const client = await one.dial()
  const brokers = async () => {
    const [text = ''] = await client.ask('rr', routed('weft.broker.hello'))
    return JSON.parse(text)
  }
  const two = await open(etcd, { id: 'b2', zone: 'b' })
  await linked(one, two)
  assert.deepEqual((await brokers()).zones, ['a', 'b'])
  assert.equal((await brokers()).brokers.length, 2)
  await two.member.beginDrain()
  await eventually(async () => assert.deepEqual((await brokers()).zones, ['a']))
})

test('a broker that drains is asked only where there is nobody else, and at last not at all', async () => {
  const [one, two] = await pair()
  const only = await two.dial({ services: ['a.Only', 'a.Both'] })
  only.answer = (stream) => stream.next({ data: Buffer.from('two') }, true)
  await knows(one, 'a.Only')
  const caller = await one.dial()
  await two.member.beginDrain()
  assert.deepEqual(await caller.ask('rr', routed('a.Only.x')), ['two'])
  const near = await one.dial({ services: ['a.Both'] })
  near.answer = (stream) => stream.next({ data: Buffer.from('one') }, true)
  for (let i = 0; i < 10; i++) assert.deepEqual(await caller.ask('rr', routed('a.Both.x')), ['one'])
  await two.member.stopRequests()
  const [refusal = ''] = await caller.ask('rr', routed('a.Only.x'))
  assert.match(refusal, /^#202 WEFT-503/)
})

test('three brokers: one hop to each, and what a broker had is gone with it', async () => {
  const etcd = new ModelEtcd(realClock)
  const all = [
    await open(etcd, { id: 'b1' }),
    await open(etcd, { id: 'b2' }),
    await open(etcd, { id: 'b3' }),
  ] as const
  await linked(...all)
  const [one, two, three] = all
  const responder = await three.dial({ services: ['a.B'] })
  responder.answer = echo()
  for (const node of [one, two]) {
    await knows(node, 'a.B')
    const caller = await node.dial()
    assert.deepEqual(await caller.ask('rr', routed('a.B.x', 'y')), ['y'])
  }
  const caller = await one.dial()
  responder.answer = () => undefined
  const asked = caller.ask('rr', routed('a.B.x', 'y'))
  await eventually(() => assert.equal(responder.peer.openStreams, 1))
  three.broker.close()
  const [why = ''] = await asked
  assert.match(why, /^#203 WEFT-504/)
  await knows(one, 'a.B', 0)
  await eventually(() => assert.equal(one.broker.openStreams + two.broker.openStreams, 0))
})

test('two brokers with one id: the newer keeps the place, the older says so and goes on alone', async () => {
  const etcd = new ModelEtcd(realClock)
  const older = await open(etcd, { id: 'b1' })
  const kept = await older.dial({ services: ['a.B'] })
  kept.answer = echo()
  await eventually(() => assert.equal(etcd.kvs.size, 2))
  const newer = await open(etcd, { id: 'b1' })
  await eventually(() => assert.equal(older.member.status.state, 'conflict'))
  await eventually(() => assert.deepEqual([...etcd.kvs.keys()], ['/weft/rsocket/brokers/b1']))
  assert.equal(newer.member.status.state, 'connected')
  const caller = await older.dial()
  assert.deepEqual(await caller.ask('rr', routed('a.B.x', 'y')), ['y'])
  // The older one touches nothing of the newer's when it sees etcd again.
  await newer.dial({ services: ['a.C'] })
  await eventually(() => assert.equal(etcd.kvs.size, 2))
  const { revision } = etcd
  etcd.stop()
  etcd.start()
  await eventually(() => {
    assert.ok(older.member.status.member !== '' && newer.member.status.state === 'connected')
  })
  assert.equal(etcd.kvs.size, 2)
  assert.equal(etcd.revision, revision)
  // When the newer one is gone the older one is a broker of the cluster again.
  const third = await open(etcd, { id: 'b2' })
  await newer.stop()
  await eventually(() => assert.equal(older.member.status.state, 'connected'))
  await knows(third, 'a.B')
  const afar = await third.dial()
  assert.deepEqual(await afar.ask('rr', routed('a.B.x', 'z')), ['z'])
})

test('a broker that was away does not take its id back from one that has it since', async () => {
  const etcd = new ModelEtcd(realClock)
  let cut: (() => void) | undefined
  let isAway = false
  const own: NodeOptions['etcd'] = {
    async open(onEnd) {
      if (isAway) throw new Error('no way to etcd')
      const store = await etcd.open(onEnd)
      cut = () => store.end('cut off')
      return store
    },
  }
  const older = await open(etcd, { id: 'b1', etcd: own })
  await older.dial({ services: ['a.B'] })
  await eventually(() => assert.equal(etcd.kvs.size, 2))
  isAway = true
  cut?.()
  etcd.revokeAll()
  const newer = await open(etcd, { id: 'b1' })
  await eventually(() => assert.equal(newer.member.status.state, 'connected'))
  isAway = false
  await eventually(() => assert.equal(older.member.status.state, 'conflict'))
  await eventually(() => assert.notEqual(older.member.status.member, ''))
  assert.equal(newer.member.status.state, 'connected')
  assert.deepEqual([...etcd.kvs.keys()], ['/weft/rsocket/brokers/b1'])
})

test('a renewed certificate: another link takes over, and what is open ends where it began', async () => {
  const [one, two] = await pair()
  const responder = await two.dial({ services: ['a.B'] })
  const held: RSocketStream[] = []
  responder.answer = (stream) => held.push(stream)
  await knows(one, 'a.B')
  const caller = await one.dial()
  const early = caller.ask('rr', routed('a.B.x', ''))
  await eventually(() => assert.equal(held.length, 1))
  const links = () => [...two.broker.legs].filter(({ facts }) => facts.broker !== undefined)
  const [before] = links()
  renewals.get(one.tls)?.()
  await eventually(() => assert.equal(links().length, 2))
  await knows(one, 'a.B')
  const late = caller.ask('rr', routed('a.B.x', ''))
  await eventually(() => assert.equal(held.length, 2))
  for (const [i, stream] of held.entries()) stream.next({ data: Buffer.from(String(i)) }, true)
  assert.deepEqual(await early, ['0'])
  assert.deepEqual(await late, ['1'])
  await eventually(() => assert.ok(before?.closed))
  assert.equal(links().length, 1)
})

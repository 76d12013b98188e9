/** Brokers that know each other by a real etcd: it dies, forgets, wants certificates and passwords. */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { realClock } from '@weft/base'
import { connect } from '@weft/rsocket'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { echo, routed, type TestClient } from '../../packages/broker/src/broker-fixture.ts'
import {
  createAuthority,
  type Node,
  type NodeOptions,
  openNode,
} from '../../packages/broker/src/cluster/cluster-fixture.ts'
import { EtcdMembers } from '../../packages/broker/src/cluster/etcd/etcd-members.ts'
import { type Etcd, noEtcd, startEtcd } from './etcd.ts'

const ca = createAuthority()

describe('a cluster of brokers over etcd', { skip: noEtcd }, () => {
  let etcd: Etcd
  const nodes: Node[] = []
  const clients: TestClient[] = []

  before(async () => {
    etcd = await startEtcd()
  })

  afterEach(async () => {
    for (const client of clients.splice(0)) client.close()
    await Promise.all(nodes.splice(0).map((node) => node.stop()))
  })

  after(() => etcd[Symbol.asyncDispose]())

  async function open(id: string, more: Partial<NodeOptions> = {}): Promise<Node> {
    const node = await openNode({ id, etcd: etcd.members(), ca, ...more })
    nodes.push(node)
    return node
  }

  async function dial(node: Node, hello: Parameters<Node['dial']>[0] = {}): Promise<TestClient> {
    const client = await node.dial(hello)
    client.answer = echo()
    clients.push(client)
    return client
  }

  async function linked(...ids: readonly string[]): Promise<readonly Node[]> {
    const all = await Promise.all(ids.map((id) => open(id)))
    await eventually(() => {
      for (const { member } of all) {
        const up = member.status.brokers.filter(({ link }) => link === 'up')
        assert.equal(up.length, ids.length - 1)
      }
    })
    return all
  }

  const knows = (node: Node, service: string, links = 1) =>
    eventually(() => assert.equal(node.broker.registry.find(service).length, links))

  test('three brokers: whoever is connected to one can be called at each', async () => {
    const all = await linked('b1', 'b2', 'b3')
    for (const [i, node] of all.entries()) await dial(node, { services: [`s.At${i}`] })
    for (const node of all) {
      const caller = await dial(node)
      for (const i of all.keys()) {
        await knows(node, `s.At${i}`)
        assert.deepEqual(await caller.ask('rr', routed(`s.At${i}.echo`, 'x')), ['x'])
      }
    }
  })

  test('an instance moves from broker to broker, and calls follow it', async () => {
    const [one, two] = await linked('b1', 'b2')
    assert.ok(one && two)
    const caller = await dial(one)
    let older: TestClient | undefined
    for (const node of [two, one, two]) {
      const here = await dial(node, { services: ['s.Moving'], instance: 'i', link: 0 })
      const name = node === one ? 'one' : 'two'
      here.answer = (stream) => stream.next({ data: Buffer.from(name) }, true)
      await eventually(async () =>
        assert.deepEqual(await caller.ask('rr', routed('s.Moving.x')), [name]),
      )
      if (older !== undefined) await eventually(() => assert.ok(older?.closed))
      older = here
    }
  })

  test('an instance that says very much of itself keeps nobody else from being known', async () => {
    const [one, two] = await linked('b1', 'b2')
    assert.ok(one && two)
    const services = Array.from({ length: 100 }, (_, i) => `s.Wordy${i}`)
    await dial(two, { services, labels: { story: 'x'.repeat(60_000) } })
    await dial(two, { services: ['s.Brief'] })
    await knows(one, 's.Wordy99')
    await knows(one, 's.Brief')
    // All of it once more, as one answer to a broker that comes.
    const three = await open('b3')
    await knows(three, 's.Wordy0')
    for (const { member } of [one, two]) assert.equal(member.status.state, 'connected')
  })

  test('etcd killed: calls go on, newcomers are served; it comes back and all is known again', async () => {
    const [one, two] = await linked('b1', 'b2')
    assert.ok(one && two)
    await dial(two, { services: ['s.Old'] })
    await knows(one, 's.Old')
    await etcd.kill()
    await eventually(() => assert.equal(one.member.status.state, 'away'))
    assert.match(one.member.status.problem, /127\.0\.0\.1/)
    const caller = await dial(one)
    assert.deepEqual(await caller.ask('rr', routed('s.Old.x', '1')), ['1'])
    await dial(one, { services: ['s.New'] })
    assert.deepEqual(await caller.ask('rr', routed('s.New.x', '2')), ['2'])
    await etcd.start()
    await knows(two, 's.New')
    const other = await dial(two)
    assert.deepEqual(await other.ask('rr', routed('s.New.x', '3')), ['3'])
    assert.deepEqual(await caller.ask('rr', routed('s.Old.x', '4')), ['4'])
    for (const { member } of [one, two]) assert.equal(member.status.state, 'connected')
  })

  test('a lease that somebody revokes: everything is registered again', async () => {
    const [one, two] = await linked('b1', 'b2')
    assert.ok(one && two)
    await dial(two, { services: ['s.Leased'] })
    await knows(one, 's.Leased')
    const { leases } = (await etcd.ask('/lease/leases', {})) as {
      readonly leases: readonly { readonly ID: string }[]
    }
    for (const { ID } of leases) await etcd.ask('/lease/revoke', { ID })
    await knows(one, 's.Leased', 0)
    await knows(one, 's.Leased', 1)
    const caller = await dial(one)
    assert.deepEqual(await caller.ask('rr', routed('s.Leased.x', 'y')), ['y'])
  })

  test('more than one transaction holds: 1,000 services of an instance are known elsewhere', async () => {
    const [one, two] = await linked('b1', 'b2')
    assert.ok(one && two)
    const services = Array.from({ length: 1_000 }, (_, i) => `s.Many${i}`)
    await dial(two, { services })
    await eventually(() => {
      const legs = services.flatMap((service) => one.broker.registry.find(service))
      assert.equal(legs.length, 1_000)
      assert.equal(new Set(legs).size, 1)
    })
  })

  test('a member that is not there is passed over', async () => {
    const urls = [`http://127.0.0.1:${await freePort()}`, etcd.url]
    const node = await open('b1', { etcd: etcd.members({ urls }) })
    await eventually(() => assert.equal(node.member.status.state, 'connected'))
    assert.equal(node.member.status.member, etcd.url)
  })

  test('a broker that is gone is gone from etcd, too', async () => {
    const [one, two] = await linked('b1', 'b2')
    assert.ok(one && two)
    await two.stop()
    await eventually(() => assert.deepEqual(one.member.status.brokers, []))
  })
})

describe('a rolling restart of two brokers under load', { skip: noEtcd }, () => {
  test('no request is lost, by our own SDK on both sides', async () => {
    await using etcd = await startEtcd()
    const stack = new AsyncDisposableStack()
    let nodes: Node[] = []
    const open = async (id: string) => {
      const node = await openNode({ id, etcd: etcd.members(), ca })
      nodes = [...nodes, node]
      return node
    }
    const first = await open('b1')
    const second = await open('b2')
    const brokers = [first, second].map(({ address }) => `tcp://127.0.0.1:${address.port}`)
    const runs = new Map<string, number>()
    const server = await connect({
      ...{ brokers, app: 'server' },
      services: {
        's.Counted': {
          async run(request) {
            const id = request.text()
            runs.set(id, (runs.get(id) ?? 0) + 1)
            if (Math.random() < 0.05) await setTimeout(80)
            return id
          },
        },
      },
    })
    const client = await connect({ brokers, app: 'client' })
    stack.defer(() => server.close())
    stack.defer(() => client.close())
    await eventually(() => {
      for (const node of nodes) assert.ok(node.broker.registry.find('s.Counted').length > 0)
    })
    let isOver = false
    let done = 0
    const failures: string[] = []
    const load = Array.from({ length: 16 }, async (_, worker) => {
      for (let i = 0; !isOver; i++) {
        const id = `${worker}-${i}`
        await client.requestResponse('s.Counted', 'run', id).then(
          () => done++,
          (error: unknown) => failures.push(`${id}: ${String(error)}`),
        )
      }
    })
    for (const [i, id] of ['b1', 'b2', 'b1', 'b2'].entries()) {
      const leaving = nodes[0] as Node
      const next = await open(`${id}-${i}`)
      await eventually(() => {
        const { brokers: others } = next.member.status
        assert.ok(others.some(({ link, state }) => link === 'up' && state === 'serving'))
      })
      nodes = nodes.slice(1)
      const before = done
      await leaving.drain(8_000)
      await leaving.stop()
      await eventually(() => assert.ok(done > before + 50))
    }
    isOver = true
    await Promise.all(load)
    assert.deepEqual(failures, [])
    assert.ok(done > 500, `${done} requests`)
    const twice = [...runs].filter(([, count]) => count > 1)
    assert.deepEqual(twice, [])
    await stack.disposeAsync()
    await Promise.all(nodes.map((node) => node.stop()))
  })
})

describe('an etcd that wants to know who asks', { skip: noEtcd }, () => {
  test('certificates on both sides; who shows none is not let in', async () => {
    const own = createTestCa()
    const { certPem, keyPem } = own.issue({ raw: [Buffer.from([0x87, 4, 127, 0, 0, 1])] })
    await using etcd = await startEtcd({ caPem: own.caPem, certPem, keyPem })
    const node = await openNode({ id: 'b1', etcd: etcd.members(), ca })
    await eventually(() => assert.equal(node.member.status.state, 'connected'))
    await node.stop()
    const nobody = new EtcdMembers({ urls: [etcd.url], caFile: `${etcd.folder}/ca.pem` }, realClock)
    const refused = await openNode({ id: 'b2', etcd: nobody, ca })
    await eventually(() => assert.match(refused.member.status.problem, /https:\/\/127\.0\.0\.1/))
    assert.equal(refused.member.status.state, 'away')
    await refused.stop()
  })

  test('user and password; a wrong one is said to be wrong', async () => {
    await using etcd = await startEtcd()
    await etcd.ask('/auth/user/add', { name: 'root', password: 'secret' })
    await etcd.ask('/auth/role/add', { name: 'root' })
    await etcd.ask('/auth/user/grant', { user: 'root', role: 'root' })
    await etcd.ask('/auth/enable', {})
    const user = { name: 'root', password: 'secret' }
    const node = await openNode({ id: 'b1', etcd: etcd.members({ user }), ca })
    await eventually(() => assert.equal(node.member.status.state, 'connected'))
    const wrong = { name: 'root', password: 'wrong' }
    const other = await openNode({ id: 'b2', etcd: etcd.members({ user: wrong }), ca })
    await eventually(() =>
      assert.match(
        other.member.status.problem,
        /authentication failed, invalid user ID or password/,
      ),
    )
    await Promise.all([node.stop(), other.stop()])
  })
})

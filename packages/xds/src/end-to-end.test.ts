import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import type { AdsClient, AdsClientOptions, ResourceUpdate } from './client/ads-client.ts'
import { type AdsServer, type AdsServerDeps, createAdsClient, createAdsServer } from './index.ts'
import type { Answer } from './server/ads-status.ts'
import { Mailbox, oneService, testCluster, testEndpoints, testNode, testSet } from './testing.ts'

const dir = mkdtempSync(join(tmpdir(), 'weft-xds-'))
after(() => rmSync(dir, { recursive: true, force: true }))

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function startServer(deps: Partial<AdsServerDeps> = {}): Promise<AdsServer> {
  const server = await createAdsServer(
    {},
    { clock: realClock, log: silentLogger, viewOf: () => 'v', ...deps },
  )
  open.push(server)
  return server
}

interface Running {
  readonly client: AdsClient
  readonly updates: Mailbox<ResourceUpdate>
}

async function startClient(
  connect: AdsClientOptions['connect'],
  options: Partial<AdsClientOptions> = {},
  validate?: (type: string, resource: { readonly name: string }) => string | undefined,
): Promise<Running> {
  const updates = new Mailbox<ResourceUpdate>()
  const client = await createAdsClient(
    { node: testNode('weft'), connect, ...options },
    {
      clock: realClock,
      log: silentLogger,
      random: () => 0,
      onUpdate: (update) => updates.put(update),
      ...(validate === undefined ? {} : { validate }),
    },
  )
  open.push(client)
  return { client, updates }
}

const loopback = { host: '127.0.0.1', port: 0 }
const portOf = ({ set }: ResourceUpdate) =>
  set.endpoints.get('a')?.localities[0]?.endpoints[0]?.address.port

describe('our client and our server', () => {
  test('a client gets the whole set as it was published', async () => {
    const server = await startServer()
    const set = oneService(80)
    server.publish('v', set, 'g1')
    const { updates } = await startClient(await server.listen(loopback))
    const update = await updates.next()
    assert.deepEqual(update.set, set)
    assert.equal(update.source, 'control')
  })

  test('works over a unix socket, also one that a killed server left behind', async () => {
    const path = join(dir, 'ads.sock')
    const first = await startServer()
    await first.listen({ path })
    const server = await startServer()
    server.publish('v', oneService(80), 'g1')
    const { updates } = await startClient(await server.listen({ path }))
    assert.equal(portOf(await updates.next()), 80)
  })

  test('only what changed is new; the rest are the same objects', async () => {
    const answers = new Mailbox<Answer>()
    const server = await startServer({ onAnswer: (answer) => answers.put(answer) })
    server.publish('v', oneService(80), 'g1')
    const { updates } = await startClient(await server.listen(loopback))
    const before = await updates.next()
    server.publish('v', oneService(81), 'g2')
    const now = await updates.next()
    assert.equal(portOf(now), 81)
    assert.equal(now.set.route, before.set.route)
    assert.equal(now.set.cluster, before.set.cluster)
    assert.notEqual(now.set.endpoints, before.set.endpoints)
  })

  test('a removed cluster goes, and its endpoints with it', async () => {
    const server = await startServer()
    const base = oneService(80)
    server.publish(
      'v',
      {
        ...base,
        cluster: new Map([...base.cluster, ['b', testCluster('b')]]),
        endpoints: new Map([...base.endpoints, ['b', testEndpoints('b', 90)]]),
      },
      'g1',
    )
    const { updates } = await startClient(await server.listen(loopback))
    await updates.next(({ set }) => set.endpoints.has('b'))
    server.publish('v', base, 'g2')
    const update = await updates.next(({ set }) => !set.cluster.has('b'))
    assert.deepEqual([...update.set.cluster.keys()], ['a'])
    assert.equal(update.set.endpoints.has('b'), false)
  })

  test('what four clients refuse is held back from the fifth, until it changes (R10)', async () => {
    const answers = new Mailbox<Answer>()
    const server = await startServer({ onAnswer: (answer) => answers.put(answer) })
    const publish = (timeoutMs: number) =>
      server.publish('v', testSet({ clusters: [testCluster('a', timeoutMs)] }), `g${timeoutMs}`)
    const timeoutOf = ({ set }: ResourceUpdate) => set.cluster.get('a')?.connectTimeoutMs
    const address = await server.listen(loopback)
    const join = (id: string) =>
      startClient(address, { node: testNode('weft', id) }, (_, one) =>
        'connectTimeoutMs' in one && one.connectTimeoutMs === 2 ? 'two is bad' : undefined,
      )
    publish(1)
    for (const id of ['n1', 'n2', 'n3', 'n4']) await (await join(id)).updates.next()
    publish(2)
    for (let i = 0; i < 4; i++) await answers.next(({ error }) => error !== undefined)
    assert.deepEqual(
      server.quarantined().map(({ name, kind, nodes }) => ({ name, kind, nodes })),
      [{ name: 'a', kind: 'weft', nodes: 4 }],
    )

    const { updates } = await join('n5')
    assert.equal(timeoutOf(await updates.next()), 1)
    const late = server.connections().find(({ node }) => node.id === 'n5')
    assert.equal(late?.types[0]?.resources[0]?.state, 'withheld')
    assert.equal(late?.ackedGeneration, undefined)

    publish(3)
    assert.equal(timeoutOf(await updates.next()), 3)
    assert.deepEqual(server.quarantined(), [])
  })

  test('a resource that the data plane refuses stays as it was, and the server knows why', async () => {
    const answers = new Mailbox<Answer>()
    const server = await startServer({ onAnswer: (answer) => answers.put(answer) })
    server.publish('v', oneService(80), 'g1')
    const { client, updates } = await startClient(await server.listen(loopback), {}, (_, one) =>
      one.name === 'bad' ? 'no such thing' : undefined,
    )
    await updates.next()
    const base = oneService(80)
    const clusters = [testCluster('a', 2_000), testCluster('bad')]
    server.publish('v', { ...base, cluster: new Map(clusters.map((one) => [one.name, one])) }, 'g2')
    const answer = await answers.next(({ error }) => error !== undefined)
    assert.deepEqual(answer.names, ['bad'])
    assert.match(answer.error ?? '', /bad: no such thing/)
    const update = await updates.next()
    assert.equal(update.set.cluster.get('a')?.connectTimeoutMs, 2_000)
    assert.equal(update.set.cluster.has('bad'), false)
    assert.equal(client.rejections()[0]?.name, 'bad')

    const [status] = server.connections()
    const states = status?.types
      .find(({ typeUrl }) => typeUrl.endsWith('.Cluster'))
      ?.resources.map(({ name, state }) => `${name} ${state}`)
    assert.deepEqual(states, ['a acked', 'bad rejected'])
    assert.notEqual(status?.ackedGeneration, 'g2')
  })

  test('the generation counts as applied when everything was accepted', async () => {
    const answers = new Mailbox<Answer>()
    const server = await startServer({ onAnswer: (answer) => answers.put(answer) })
    server.publish('v', oneService(80), 'g1')
    const { updates } = await startClient(await server.listen(loopback))
    await updates.next()
    await answers.next(({ typeUrl }) => typeUrl.endsWith('RouteConfiguration'))
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(server.connections()[0]?.ackedGeneration, 'g1')
    server.publish('v', oneService(80), 'g2')
    assert.equal(server.connections()[0]?.ackedGeneration, 'g2', 'nothing changed, nothing to send')
  })

  test('a view that is published later reaches clients that wait for it', async () => {
    const nodes = new Mailbox<string>()
    const server = await startServer({ onNode: (node) => nodes.put(node.id) })
    const { updates } = await startClient(await server.listen(loopback))
    assert.equal(await nodes.next(), 'n1')
    server.publish('v', oneService(80), 'g1')
    assert.equal(portOf(await updates.next()), 80)
  })

  test('an empty mesh is an answer too', async () => {
    const server = await startServer()
    server.publish('v', testSet({}), 'g1')
    const { updates } = await startClient(await server.listen(loopback))
    assert.equal((await updates.next()).set.listener.size, 0)
  })

  test('the node arrives as it was announced', async () => {
    const nodes = new Mailbox<unknown>()
    const server = await startServer({ onNode: (node) => nodes.put(node) })
    await startClient(await server.listen(loopback))
    assert.deepEqual(await nodes.next(), testNode('weft'))
  })

  test('health is reported, at once and after a reconnect', async () => {
    const reports = new Mailbox<string>()
    const deps: Partial<AdsServerDeps> = {
      onHealth: (node, healthy, message) => reports.put(`${node.id} ${healthy} ${message}`),
    }
    const path = join(dir, 'health.sock')
    const first = await startServer(deps)
    const { client } = await startClient(await first.listen({ path }))
    client.reportHealth(false, 'connection refused')
    assert.equal(await reports.next(), 'n1 false connection refused')
    client.reportHealth(true, '')
    assert.equal(await reports.next(), 'n1 true ')
    await first.close()
    const second = await startServer(deps)
    await second.listen({ path })
    assert.equal(await reports.next(), 'n1 true ')
  })
})

describe('when the control plane comes and goes', () => {
  test('a restart costs no resource: what is unchanged is not sent again', async () => {
    const path = join(dir, 'restart.sock')
    const first = await startServer()
    first.publish('v', oneService(80), 'g1')
    const { client, updates } = await startClient(await first.listen({ path }))
    await updates.next()
    await first.close()

    const answers = new Mailbox<Answer>()
    const second = await startServer({ onAnswer: (answer) => answers.put(answer) })
    second.publish('v', oneService(81), 'g1')
    await second.listen({ path })
    const update = await updates.next()
    assert.equal(portOf(update), 81)
    assert.ok(client.stats().connects >= 2)
    const names = []
    for (let answered = 0; answered < 3; answered++) names.push((await answers.next()).names)
    assert.deepEqual(
      names.flat(),
      ['a'],
      'only the endpoints were sent; the others were said to be equal',
    )
  })

  test('what is gone after a restart is taken away', async () => {
    const path = join(dir, 'gone.sock')
    const base = oneService(80)
    const first = await startServer()
    first.publish(
      'v',
      { ...base, cluster: new Map([...base.cluster, ['b', testCluster('b')]]) },
      'g',
    )
    const { updates } = await startClient(await first.listen({ path }))
    await updates.next(({ set }) => set.cluster.has('b'))
    await first.close()
    const second = await startServer()
    second.publish('v', base, 'g')
    await second.listen({ path })
    const update = await updates.next()
    assert.deepEqual([...update.set.cluster.keys()], ['a'])
  })

  test('nothing is lost while it is away, and a restarted proxy boots from disk', async () => {
    const path = join(dir, 'disk.sock')
    const lastGood = { dir: join(dir, 'last-good') }
    const server = await startServer()
    server.publish('v', oneService(80), 'g1')
    const first = await startClient(await server.listen({ path }), { lastGood })
    const live = await first.updates.next()
    await first.client.close()
    await server.close()

    const file = join(lastGood.dir, 'last-good.json')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    const second = await startClient({ path }, { lastGood })
    const booted = await second.updates.next()
    assert.equal(booted.source, 'disk')
    assert.deepEqual(booted.set, live.set)
    await second.client.close()

    // Half a file, another workload's file, no file at all: start without, do not fail.
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -20))
    const third = await startClient({ path }, { lastGood })
    const other = { ...testNode('weft'), cluster: 'other.default' }
    const fourth = await startClient({ path }, { lastGood, node: other })
    const revived = await startServer()
    revived.publish('v', oneService(81), 'g2')
    await revived.listen({ path })
    assert.equal((await third.updates.next()).source, 'control')
    assert.equal((await fourth.updates.next()).source, 'control')
  })

  test('a control plane that is there goes before the disk, changed or not', async () => {
    const path = join(dir, 'fresh.sock')
    const lastGood = { dir: join(dir, 'fresh') }
    const server = await startServer()
    server.publish('v', oneService(80), 'g1')
    const connect = await server.listen({ path })
    for (const port of [80, 80, 81]) {
      server.publish('v', oneService(port), `g${port}`)
      const { client, updates } = await startClient(connect, { lastGood })
      const update = await updates.next()
      assert.equal(update.source, 'control')
      assert.equal(portOf(update), port)
      await client.close()
    }
  })

  test('a server that is not ready refuses, and the client comes back', async () => {
    let ready = false
    const server = await startServer({ isReady: () => ready })
    server.publish('v', oneService(80), 'g1')
    const { client, updates } = await startClient(await server.listen(loopback))
    while (client.stats().connects < 2) await new Promise((resolve) => setImmediate(resolve))
    ready = true
    assert.equal(portOf(await updates.next()), 80)
  })
})

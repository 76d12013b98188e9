import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { request as askHttp, createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import type { SocketAddress } from '@weft/model'
import { createHandleTransport, serverTlsContext } from '@weft/net'
import { type BrokerTarget, renderTarget } from '@weft/rsocket/link'
import { createTestCa, eventually } from '@weft/testkit'
import { Broker } from '../broker.ts'
import type { ListenOptions } from '../listen.ts'
import { HttpAgent, type HttpAgentOptions } from './http-agent.ts'

const ANY = { host: '127.0.0.1', port: 0 }
const deps = { clock: realClock, log: silentLogger, random: Math.random }
const closing: (() => void | Promise<void>)[] = []
let home = ''
let socketPath = ''

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'weft-agent-'))
  socketPath = join(home, 'app.sock')
})

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await rm(home, { recursive: true })
})

async function openBroker(kind: ListenOptions['kind'] = 'tcp') {
  const broker = new Broker({ id: 'b' }, { transport: createHandleTransport(), ...deps })
  const { port } = await broker.listen({ kind, address: ANY })
  closing.push(() => broker.close())
  const target: BrokerTarget =
    kind === 'tcp'
      ? { kind, address: { host: '127.0.0.1', port } }
      : { kind, url: `ws://127.0.0.1:${port}/` }
  return { broker, target }
}

async function openAgent(options: Pick<HttpAgentOptions, 'brokers'> & Partial<HttpAgentOptions>) {
  const agent = new HttpAgent(
    {
      ...{ links: options.brokers.length, app: 'caller', namespace: 'default', labels: {} },
      ...{ instance: `i${closing.length}`, zone: '', services: [], outbound: ANY },
      ...options,
    },
    deps,
  )
  closing.push(() => agent.close())
  await agent.open()
  return agent
}

/** Listens at `socketPath`, which is no port. */
async function openApplication(answer: (release: () => void) => void = (release) => release()) {
  const server: Server = createServer((request, response) => {
    answer(() => response.end(`${request.method} ${request.url} ${request.headers.host}`))
  })
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return server
}

interface Answer {
  readonly status: number
  readonly body: string
}

function ask(proxy: SocketAddress | undefined, url: string, method = 'GET'): Promise<Answer> {
  const { host = '', port = 0 } = proxy ?? {}
  return new Promise((resolve, reject) => {
    const request = askHttp({ host, port, path: url, method, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }),
      )
    })
    request.on('error', reject)
    request.end()
  })
}

const REVIEWS = { app: 'reviews', services: [{ name: 'reviews', port: 9080 }] }

for (const kind of ['tcp', 'websocket'] as const) {
  test(`an application on a Unix socket is called through a broker over ${kind}`, async () => {
    const { broker, target } = await openBroker(kind)
    await openApplication()
    const application = { path: socketPath }
    const server = await openAgent({ ...REVIEWS, brokers: [target], application })
    const caller = await openAgent({ brokers: [target] })
    await eventually(() => assert.equal(server.status().isApplicationUp, true))
    await eventually(async () =>
      assert.deepEqual(await ask(caller.outbound, 'http://reviews/0?x=1'), {
        status: 200,
        body: 'GET /0?x=1 reviews',
      }),
    )
    assert.equal(broker.openStreams, 0)
    assert.equal(server.status().serving, 0)
  })
}

test('who has no application yet is not called; nor who has lost it', async () => {
  const { target } = await openBroker()
  const application = { path: socketPath }
  const agent = await openAgent({ ...REVIEWS, brokers: [target], application })
  const caller = await openAgent({ brokers: [target] })
  await eventually(() => assert.ok(agent.status().links[0]?.isUp && caller.status().links[0]?.isUp))
  const early = await ask(caller.outbound, 'http://reviews/')
  assert.equal(early.status, 503)
  assert.match(early.body, /no responder can take/)
  const server = await openApplication()
  await eventually(async () =>
    assert.equal((await ask(caller.outbound, 'http://reviews/')).status, 200),
  )
  server.close()
  server.closeAllConnections()
  await eventually(() => assert.equal(agent.status().isApplicationUp, false))
})

test('links to two brokers: either may end, and calls go on', async () => {
  const [first, second] = [await openBroker(), await openBroker()]
  await openApplication()
  const brokers = [first.target, second.target] as const
  await openAgent({ ...REVIEWS, brokers, application: { path: socketPath } })
  const caller = await openAgent({ brokers })
  const answersAtBoth = async () => {
    for (let i = 0; i < 8; i++) {
      assert.equal((await ask(caller.outbound, 'http://reviews/')).status, 200)
    }
    assert.ok(caller.status().links.every(({ isUp }) => isUp))
  }
  await eventually(answersAtBoth)
  for (const leg of [...first.broker.legs]) leg.abort('test')
  first.broker.close()
  for (let i = 0; i < 20; i++) {
    assert.equal((await ask(caller.outbound, 'http://reviews/')).status, 200)
  }
  await eventually(() => {
    const problems = caller.status().links.flatMap(({ problem }) => problem ?? [])
    assert.match(problems.join(), /ECONNREFUSED/)
  })
})

test('one broker tells of others: links go to two of them, in different zones, and follow news', async () => {
  const opened = await Promise.all([0, 1, 2, 3].map(() => openBroker()))
  const uris = opened.map(({ target }) => renderTarget(target))
  const zones = ['a', 'a', 'b', 'b']
  const tell = (list: readonly number[]) => {
    for (const { broker } of opened) {
      broker.announceBrokers(
        list.map((i) => uris[i] ?? ''),
        list.map((i) => zones[i] ?? ''),
      )
    }
  }
  tell([0, 1, 2, 3])
  await openApplication()
  const [seed] = opened
  assert.ok(seed)
  const agent = await openAgent({
    ...{ ...REVIEWS, brokers: [seed.target], links: 2, application: { path: socketPath } },
    targetOf: (uri) => opened.find(({ target }) => renderTarget(target) === uri)?.target,
  })
  const up = () => agent.status().links.flatMap(({ broker, isUp }) => (isUp ? [broker] : []))
  const zonesUp = () => up().map((uri) => zones[uris.indexOf(uri)])
  const settled = () =>
    eventually(() =>
      assert.deepEqual([zonesUp().sort(), agent.status().links.length], [['a', 'b'], 2]),
    )
  await settled()
  for (const uri of up()) {
    const { broker } = opened[uris.indexOf(uri)] ?? {}
    assert.ok(broker)
    await eventually(() => assert.equal(broker.registry.find('reviews').length, 1))
  }
  // Both that it has go from the list.
  const others = uris.filter((uri) => !up().includes(uri))
  tell(others.map((uri) => uris.indexOf(uri)))
  await eventually(() => assert.deepEqual(up().sort(), others.sort()))
  await settled()
})

test('without a way to dial what brokers tell of, links stay where they are', async () => {
  const [one, two] = [await openBroker(), await openBroker()]
  one.broker.announceBrokers([renderTarget(two.target)], [])
  const agent = await openAgent({ brokers: [one.target], links: 2, targetOf: () => undefined })
  await eventually(() => assert.equal(agent.status().links[0]?.isUp, true))
  assert.deepEqual(
    agent.status().links.map(({ broker }) => broker),
    [renderTarget(one.target)],
  )
  assert.equal([...two.broker.legs].length, 0)
})

test('the responder behind the broker is lost: a GET is asked of another one, a POST is not', async () => {
  const { broker, target } = await openBroker()
  const waiting: (() => void)[] = []
  let isReleased = false
  await openApplication((release) => {
    if (isReleased) release()
    else waiting.push(release)
  })
  const application = { path: socketPath }
  for (const instance of ['one', 'two']) {
    await openAgent({ ...REVIEWS, brokers: [target], instance, application })
  }
  const caller = await openAgent({ brokers: [target] })
  await eventually(() => assert.equal(broker.registry.find('reviews').length, 2))
  await eventually(() => assert.ok(caller.status().links[0]?.isUp))
  const methods = Array.from({ length: 12 }, (_, i) => (i % 4 < 2 ? 'GET' : 'POST'))
  const answers = methods.map((method) => ask(caller.outbound, 'http://reviews/', method))
  await eventually(() => assert.equal(waiting.length, methods.length))
  broker.registry.find('reviews')[0]?.abort('test')
  await eventually(() => assert.ok(waiting.length > methods.length))
  // What was asked of the lost one has no connection any more; those behind it do.
  isReleased = true
  for (const release of waiting) release()
  const all = await Promise.all(answers)
  const of = (method: string) =>
    all.flatMap(({ status }, i) => (methods[i] === method ? [status] : []))
  assert.deepEqual(new Set(of('GET')), new Set([200]))
  assert.ok(of('POST').includes(504) && !of('POST').includes(502), of('POST').join(' '))
})

test('a drain takes nothing new, ends what is under way, and then closes', async () => {
  const { broker, target } = await openBroker()
  const held: (() => void)[] = []
  await openApplication((release) => held.push(release))
  const application = { path: socketPath }
  const agent = await openAgent({ ...REVIEWS, brokers: [target], application })
  const caller = await openAgent({ brokers: [target] })
  await eventually(() =>
    assert.ok(agent.status().isApplicationUp && caller.status().links[0]?.isUp),
  )
  const slow = ask(caller.outbound, 'http://reviews/slow')
  await eventually(() => assert.equal(held.length, 1))
  const drained = agent.drain(10_000)
  await eventually(async () =>
    assert.equal((await ask(caller.outbound, 'http://reviews/new')).status, 503),
  )
  assert.equal(held.length, 1, 'nothing new came to the application')
  for (const release of held) release()
  assert.equal((await slow).status, 200)
  await drained
  await eventually(() => assert.equal(broker.registry.services.size, 0))
})

test('no broker: 503 that says so, and the status says why', async () => {
  const target = { kind: 'tcp', address: { host: '127.0.0.1', port: 1 } } as const
  const agent = await openAgent({ brokers: [target] })
  const answer = await ask(agent.outbound, 'http://reviews/')
  assert.deepEqual(answer, { status: 503, body: 'WEFT-503 no connection to a broker\n' })
  await eventually(() => assert.match(agent.status().links[0]?.problem ?? '', /ECONNREFUSED/))
})

test('over TLS it shows its certificate, and does not speak to whom its roots do not vouch for', async () => {
  const ca = createTestCa()
  const server = ca.issue({ dns: ['broker'] })
  const own = ca.issue({ uri: ['spiffe://cluster.local/ns/default/sa/reviews'] })
  const certificates = [{ chainPem: server.certPem, keyPem: server.keyPem }]
  const context = serverTlsContext(
    { parameters: {}, certificates, alpn: [], trust: { caPem: ca.caPem } },
    'required',
  )
  const seen = new Set<string>()
  const broker = new Broker(
    { id: 'b' },
    {
      ...{ transport: createHandleTransport(), ...deps },
      authenticate: async (leg) => {
        for (const name of leg.socket.tls?.peer?.uriSans ?? []) seen.add(name)
        return { principal: undefined, claims: undefined }
      },
    },
  )
  closing.push(() => broker.close())
  const address = await broker.listen({ kind: 'tcp', address: ANY, tls: () => context })
  const tls = (caPem: string) => () => ({
    ...{ serverName: 'broker', caPem },
    certificate: { chainPem: own.certPem, keyPem: own.keyPem },
  })
  const agent = await openAgent({ brokers: [{ kind: 'tcp', address, tls: tls(ca.caPem) }] })
  await eventually(() => assert.equal(agent.status().links[0]?.isUp, true))
  assert.deepEqual(seen, new Set(['spiffe://cluster.local/ns/default/sa/reviews']))
  const strange = tls(createTestCa().caPem)
  const other = await openAgent({ brokers: [{ kind: 'tcp', address, tls: strange }] })
  await eventually(() => assert.match(other.status().links[0]?.problem ?? '', /certificate/))
  assert.equal(other.status().links[0]?.isUp, false)
})

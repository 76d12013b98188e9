import assert from 'node:assert/strict'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { createHandleTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import { METADATA_ID, readComposite, readMimes, readRoutingTags, renderSetup } from '@weft/wire'
import { type BrokerAdmin, openBrokerAdmin } from '../admin/admin-server.ts'
import { HttpAgent } from '../agent/http-agent.ts'
import type { BrokerDeps } from '../broker.ts'
import { type HelloOptions, openBroker, routed, setupOf, TestClient } from '../broker-fixture.ts'
import type { Hello } from '../hello.ts'
import type { Leg } from '../leg.ts'
import { metricsAnswer } from './metrics-call.ts'
import { type ScrapeLimits, Scraper } from './scraper.ts'

const HERE = { host: '127.0.0.1', port: 0 }
const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function open(limits: Partial<ScrapeLimits> = {}, deps: Partial<BrokerDeps> = {}) {
  const fixture = await openBroker({}, deps)
  const scraper = new Scraper(fixture.broker, realClock, limits)
  closing.push(() => fixture.broker.close())
  const scrape = async (instance: string, openMetrics = false) => {
    const scraped = await scraper.scrape(instance, { openMetrics })
    if (scraped.status !== 200) return `${scraped.status} ${scraped.problem}`
    return `${scraped.type} | ${scraped.body}`
  }
  const dial = (hello: HelloOptions) => fixture.dial({ features: ['metrics'], ...hello })
  return { ...fixture, scraper, scrape, dial }
}

test('an instance with metrics is found and asked over its link', async () => {
  const { scraper, scrape, dial } = await open()
  const app = await dial({
    ...{ instance: 'cart-1', app: 'cart', namespace: 'shop', labels: { version: 'v2' } },
    services: ['com.acme.Cart'],
  })
  await dial({ instance: 'other', features: [] })
  app.answer = (stream, { metadata }) => {
    const entries = readComposite(metadata ?? Buffer.alloc(0)) ?? []
    const [routing] = entries.filter(({ mime }) => mime === 'message/x.rsocket.routing.v0')
    assert.deepEqual(readRoutingTags(routing?.content ?? Buffer.alloc(0)), ['weft.metrics.scrape'])
    const accepted = entries.find(({ mime }) => mime === 'message/x.rsocket.accept-mime-types.v0')
    const mimes = readMimes(accepted?.content ?? Buffer.alloc(0)) ?? []
    const type = mimes.length > 1 ? 'application/openmetrics-text; version=1.0.0' : ''
    stream.next(metricsAnswer(Buffer.from('up_and_away 1\n'), type), true)
  }
  assert.deepEqual(scraper.targets('broker:7880'), [
    {
      targets: ['broker:7880'],
      labels: {
        ...{ __metrics_path__: '/scrape/cart-1', instance: 'cart-1', app: 'cart' },
        ...{ namespace: 'shop', service: 'com.acme.Cart', version: 'v2' },
      },
    },
  ])
  assert.equal(await scrape('cart-1'), 'text/plain; version=0.0.4; charset=utf-8 | up_and_away 1\n')
  assert.equal(
    await scrape('cart-1', true),
    'application/openmetrics-text; version=1.0.0 | up_and_away 1\n',
  )
  assert.equal(await scrape('other'), '404 nobody with metrics is connected as other')
  app.close()
  await eventually(() => assert.deepEqual(scraper.targets('b'), []))
})

test('an instance with several links is listed once, by the broker of its first one', async () => {
  const { broker, scraper, scrape, dial } = await open()
  await dial({ instance: 'i', link: 2 })
  await dial({ instance: 'i', link: 1 })
  assert.equal(scraper.targets('b').length, 1)
  // What a broker of the cluster tells of its own legs stands in the registry as they do.
  const identity = { principal: undefined, claims: undefined }
  const facts = { instance: { id: 'i', link: 0, services: [] }, identity, via: 'b2' }
  const elsewhere = { facts } as unknown as Leg
  const stranger = { facts: { ...facts, identity: { principal: 'spiffe://t/ns/evil/sa/eve' } } }
  broker.registry.add(stranger as unknown as Leg)
  assert.equal(scraper.targets('b').length, 1, 'the same id of somebody else is another instance')
  broker.registry.add(elsewhere)
  assert.deepEqual(scraper.targets('b'), [])
  assert.match(await scrape('i'), /nobody answers/)
  broker.registry.remove(elsewhere)
  assert.equal(scraper.targets('b').length, 1)
})

test('whoever takes the id of another instance does not answer for it', async () => {
  const authenticate = async (_leg: Leg, { credentials }: Hello) => ({
    principal: credentials?.type === 'bearer' ? credentials.token : undefined,
    claims: undefined,
  })
  const { scrape, dial } = await open({}, { authenticate })
  const app = await dial({ instance: 'i', link: 1, token: 'spiffe://t/ns/shop/sa/cart' })
  app.answer = (stream) => stream.next({ data: Buffer.from('mine 1\n') }, true)
  const thief = await dial({ instance: 'i', link: 0, token: 'spiffe://t/ns/evil/sa/eve' })
  thief.answer = (stream) => stream.next({ data: Buffer.from('forged 1\n') }, true)
  assert.match(await scrape('i'), /mine 1/)
})

test('nobody but the broker reaches the metrics of others', async () => {
  const { scraper, scrape, dial } = await open()
  const services = ['com.acme.Cart', 'weft.metrics']
  const app = await dial({ instance: 'cart-1', services, features: [] })
  let asked = 0
  app.answer = (stream) => {
    asked++
    stream.fail(0x201, 'no')
  }
  const thief = await dial({ features: [] })
  for (const key of ['weft.metrics.scrape', 'weft.metrics.scrape?e=id:cart-1']) {
    assert.deepEqual(await thief.ask('rr', routed(key)), ['#403 brokers alone ask for metrics'])
  }
  assert.equal(asked, 0)
  assert.equal(scraper.targets('b')[0]?.labels.service, 'com.acme.Cart')
  assert.equal(await scrape('cart-1'), '502 the instance answered 0x201 no')
  assert.equal(asked, 1)
})

test('late, long, failing and too many', async () => {
  const { scraper, scrape, dial } = await open({ timeoutMs: 30, maxBytes: 10 })
  const app = await dial({ instance: 'i' })
  let cancelled = 0
  app.answer = (stream) => {
    stream.handler = {
      onItem() {},
      onComplete() {},
      onError() {},
      onRequestN() {},
      onCancel: () => {
        cancelled++
      },
    }
  }
  const [first, second, third] = await Promise.all([scrape('i'), scrape('i'), scrape('i')])
  assert.equal(first, '504 the instance did not answer within 30 ms')
  assert.equal(second, first)
  assert.equal(third, '503 too many scrapes are under way')
  await eventually(() => assert.equal(cancelled, 2))
  app.answer = (stream) => stream.next({ data: Buffer.from('x'.repeat(11)) }, true)
  assert.equal(await scrape('i'), '502 the metrics are longer than 10 bytes')
  app.answer = (stream) => stream.fail(0x201, 'out of order')
  assert.equal(await scrape('i'), '502 the instance answered 0x201 out of order')
  app.answer = () => app.close()
  assert.match(await scrape('i'), /^502 .* the responder is gone/)
  assert.deepEqual([...scraper.counts].sort(), [
    [502, 3],
    [503, 1],
    [504, 2],
  ])
})

test("Alibaba's SDK is asked by its own name, with the types that its responders want", async () => {
  const fixture = await open()
  const { transport, address } = fixture
  const uuid = '0123456789abcdef0123456789abcdef'
  const application = JSON.stringify({ uuid, name: 'users', nameSpace: 'shop', sdk: 'Alibaba' })
  const setup = setupOf({})
  const entry = Buffer.concat([
    Buffer.of(0x80 | 0x51, 0, 0, application.length),
    Buffer.from(application),
  ])
  const client = new TestClient(transport, address)
  client.write(renderSetup({ ...setup, payload: { data: Buffer.alloc(0), metadata: entry } }))
  const asked: string[] = []
  client.answer = (stream, { metadata }) => {
    for (const { mime, content } of readComposite(metadata ?? Buffer.alloc(0)) ?? []) {
      asked.push(`${mime} ${readRoutingTags(content) ?? ''}`.slice(0, 100))
    }
    stream.next({ data: Buffer.from('jvm_threads 7\n') }, true)
  }
  await eventually(() => assert.equal(fixture.scraper.targets('b').length, 1))
  assert.equal(
    await fixture.scrape(uuid),
    'text/plain; version=0.0.4; charset=utf-8 | jvm_threads 7\n',
  )
  assert.equal(
    asked[0],
    'message/x.rsocket.routing.v0 com.alibaba.rsocket.observability.MetricsService.scrape',
  )
  assert.equal(
    asked.length,
    Object.keys({ routing: METADATA_ID.routing, dataMime: 0, accept: 0 }).length,
  )
})

function get(
  admin: BrokerAdmin,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; type: string | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ ...admin.address, path, headers }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () => {
        const { 'content-type': type } = response.headers
        resolve({ status: response.statusCode ?? 0, type, body })
      })
    })
    call.once('error', reject).end()
  })
}

test('by the admin port: discovery, scraping, and who may', async () => {
  const { broker, dial } = await open()
  const app = await dial({ instance: 'a b/ü', app: 'cart', namespace: 'shop' })
  app.answer = (stream) => stream.next({ data: Buffer.from('one 1\n') }, true)
  const deps = { broker, log: silentLogger, state: () => 'LIVE' as const }
  const admin = await openBrokerAdmin({ address: HERE, info: {} }, deps)
  closing.push(() => admin.close())
  const found = await get(admin, '/sd/prometheus', { host: 'localhost:7880' })
  assert.equal(found.type, 'application/json')
  const [group] = JSON.parse(found.body)
  assert.deepEqual(group.targets, ['localhost:7880'])
  const scraped = await get(admin, group.labels.__metrics_path__)
  assert.deepEqual(scraped, {
    ...{ status: 200, body: 'one 1\n', type: 'text/plain; version=0.0.4; charset=utf-8' },
  })
  assert.equal((await get(admin, '/metrics/a%20b%2F%C3%BC')).body, 'one 1\n')
  assert.equal((await get(admin, '/scrape/nobody')).status, 404)
  assert.equal((await get(admin, '/scrape/%E0%A4%A')).status, 404)
  app.answer = () => {}
  const late = await get(admin, group.labels.__metrics_path__, {
    'x-prometheus-scrape-timeout-seconds': '0.02',
  })
  assert.equal(late.status, 504)
  const stats = await get(admin, '/stats/prometheus')
  assert.match(stats.body, /^weft_rsocket_scrapes_total\{code="200"\} 2$/m)
})

test('where others reach the port, the scrape token opens nothing but scraping', async () => {
  const { broker, dial } = await open()
  const app = await dial({ instance: 'i' })
  app.answer = (stream) => stream.next({ data: Buffer.from('one 1\n') }, true)
  const deps = { broker, log: silentLogger, state: () => 'LIVE' as const }
  const tokens = { token: 'token-of-the-admin-port', scrapeToken: 'token-of-prometheus' }
  const address = { host: '0.0.0.0', port: 0 }
  const admin = await openBrokerAdmin({ address, info: {}, ...tokens }, deps)
  closing.push(() => admin.close())
  const statusOf = async (path: string, token?: string) =>
    (await get(admin, path, token === undefined ? {} : { authorization: `Bearer ${token}` })).status
  for (const path of ['/sd/prometheus', '/scrape/i', '/metrics/i']) {
    assert.equal(await statusOf(path), 401)
    assert.equal(await statusOf(path, 'a-token-of-nobody-here'), 401)
    assert.equal(await statusOf(path, tokens.scrapeToken), 200)
    assert.equal(await statusOf(path, tokens.token), 200)
  }
  const named = await get(admin, '/sd/prometheus', {
    authorization: `Bearer ${tokens.scrapeToken}`,
    host: 'broker.example:7880',
  })
  assert.deepEqual(JSON.parse(named.body)[0].targets, ['broker.example:7880'])
  assert.equal((await get(admin, '/sd/prometheus', { host: 'broker.example' })).status, 401)
  assert.equal((await get(admin, '/links', { host: 'broker.example' })).status, 421)
  assert.equal(await statusOf('/links', tokens.scrapeToken), 401)
  assert.equal(await statusOf('/stats/prometheus', tokens.scrapeToken), 401)
})

test('an agent fetches the metrics of its application, whatever the application is like', async () => {
  const transport = createHandleTransport()
  const { broker, address } = await openBroker({}, { transport })
  closing.push(() => broker.close())
  const asked: string[] = []
  let answer: { status: number; type: string; body: string } | undefined
  const application = createServer(({ url, headers }, response) => {
    asked.push(`${url} ${headers.accept}`)
    if (answer === undefined) response.destroy()
    else response.writeHead(answer.status, { 'content-type': answer.type }).end(answer.body)
  })
  await new Promise<void>((resolve) => application.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    application.close()
    application.closeAllConnections()
  })
  const { port } = application.address() as AddressInfo
  const agent = new HttpAgent(
    {
      ...{ brokers: [{ kind: 'tcp', address }], links: 1, app: 'web', namespace: 'shop' },
      ...{ instance: 'web-1', labels: { version: 'v1' }, zone: '', services: [] },
      metrics: { address: { host: '127.0.0.1', port }, path: '/actuator/prometheus' },
    },
    { clock: realClock, log: silentLogger, random: Math.random },
  )
  closing.push(() => agent.close())
  await agent.open()
  const scraper = new Scraper(broker, realClock)
  await eventually(() => assert.equal(scraper.targets('b')[0]?.labels.instance, 'web-1'))
  const scrape = () => scraper.scrape('web-1', { openMetrics: true })
  const large = `# ${'x'.repeat(2_000_000)}\nup 1\n`
  const type = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
  answer = { status: 200, type, body: large }
  const scraped = await scrape()
  assert.equal(scraped.status, 200)
  assert.equal('body' in scraped && scraped.type, type)
  assert.equal('body' in scraped && String(scraped.body), large)
  assert.deepEqual(asked, ['/actuator/prometheus application/openmetrics-text,text/plain'])
  answer = { status: 404, type: 'text/html', body: 'not here' }
  const missing = await scrape()
  assert.equal(missing.status, 502)
  assert.match(
    'problem' in missing ? missing.problem : '',
    /answers \/actuator\/prometheus with 404/,
  )
  answer = undefined
  assert.equal((await scrape()).status, 502)
})

/** What a broker's admin port tells, and whom. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { eventually } from '@weft/testkit'
import { renderLease } from '@weft/wire'
import { type Fixture, openBroker } from '../broker-fixture.ts'
import { type BrokerAdmin, openBrokerAdmin } from './admin-server.ts'

const HERE = { host: '127.0.0.1', port: 0 }
const TOKEN = 'a-token-of-24-characters'

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

function ask(
  admin: BrokerAdmin,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ ...admin.address, path, headers, method }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, headers: response.headers }),
      )
    })
    call.once('error', reject).end()
  })
}

describe("a broker's admin port", () => {
  let fixture: Fixture
  let admin: BrokerAdmin
  let state: 'PRE_INITIALIZING' | 'LIVE' | 'DRAINING' = 'LIVE'
  const info = { version: 'weft/test', id: 'b1' }

  before(async () => {
    fixture = await openBroker()
    const deps = { broker: fixture.broker, log: silentLogger, state: () => state }
    admin = await openBrokerAdmin({ address: HERE, info }, deps)
  })

  after(async () => {
    await admin.close()
    fixture.broker.close()
  })

  test('lists who is connected and what they allow', async () => {
    const client = await fixture.dial({ app: 'cart', instance: 'c1', services: ['com.acme.Cart'] })
    client.write(renderLease({ requests: 7, ttlMs: 60_000 }))
    await eventually(async () => {
      const { leases } = JSON.parse((await ask(admin, '/leases')).body)
      assert.deepEqual([leases[0]?.app, leases[0]?.permits], ['cart', 7])
    })
    const { links } = JSON.parse((await ask(admin, '/links')).body)
    assert.equal(links.length, 1)
    const [{ instance, app, namespace, principal, tls, services }] = links
    assert.deepEqual([instance, app, namespace], ['c1', 'cart', 'default'])
    assert.deepEqual([principal, tls, services], ['', false, ['com.acme.Cart']])
    const { body } = await ask(admin, '/services')
    assert.equal(JSON.parse(body).services['com.acme.Cart'], 1)
    client.close()
    await eventually(async () =>
      assert.deepEqual(JSON.parse((await ask(admin, '/links')).body), { links: [] }),
    )
  })

  test('counts what it refuses, in the forms of a proxy', async () => {
    fixture.broker.counters.rejectedSetups = 3
    const { body, headers } = await ask(admin, '/stats/prometheus')
    assert.match(body, /^weft_rsocket_rejects_total\{reason="setup"\} 3$/m)
    assert.match(body, /^# TYPE weft_rsocket_connections gauge$/m)
    assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/)
    assert.match((await ask(admin, '/stats')).body, /^weft_rsocket_streams_open: 0$/m)
    const { stats } = JSON.parse((await ask(admin, '/stats?format=json')).body)
    assert.ok(stats.some(({ name }: { name: string }) => name === 'weft_rsocket_items_total'))
    assert.equal((await ask(admin, '/stats?format=xml')).status, 400)
  })

  test('says whether it is ready, and what it is', async () => {
    assert.equal((await ask(admin, '/ready')).status, 200)
    state = 'DRAINING'
    assert.deepEqual((await ask(admin, '/ready')).status, 503)
    const told = JSON.parse((await ask(admin, '/server_info')).body)
    assert.deepEqual([told.version, told.id, told.state], ['weft/test', 'b1', 'DRAINING'])
  })

  test('R77: pages of other origins and names that may lead here are refused', async () => {
    assert.equal((await ask(admin, '/links', { host: 'evil.example' })).status, 421)
    assert.equal((await ask(admin, '/links', { origin: 'https://evil.example' })).status, 403)
    const { headers } = await ask(admin, '/links')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.match((await ask(admin, '/help')).body, /\/leases: /)
    assert.equal((await ask(admin, '/nothing')).status, 404)
    assert.equal((await ask(admin, '/links', {}, 'POST')).status, 401)
  })

  test('R70: where others reach it a token is needed, for all but /ready', async () => {
    const address = { host: '0.0.0.0', port: 0 }
    const deps = { broker: fixture.broker, log: silentLogger, state: () => state }
    await assert.rejects(openBrokerAdmin({ address, info }, deps), /without a token/)
    const open = await openBrokerAdmin({ address, info, token: TOKEN }, deps)
    const local = { ...open, address: { ...open.address, host: '127.0.0.1' } }
    assert.equal((await ask(local, '/links')).status, 401)
    assert.equal((await ask(local, '/ready')).status, 503)
    const authorization = `Bearer ${TOKEN}`
    assert.equal((await ask(local, '/links', { authorization })).status, 200)
    await open.close()
  })
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import type { ResourceSet, SocketAddress } from '@weft/model'
import { freePort } from '@weft/testkit'
import { type AdsServer, createAdsServer, TYPE_URLS } from '@weft/xds'
import { adminGet, get, openApp, openProxy, outboundTo, REVIEWS, until } from './test-proxy.ts'
import { cluster, endpoints, listener } from './test-resources.ts'

interface Control {
  readonly server: AdsServer
  readonly address: SocketAddress
  readonly health: string[]
  readonly nacks: string[]
}

/** A control plane that sends everybody what the test publishes as view `all`. */
async function openControl(port = 0): Promise<Control> {
  const health: string[] = []
  const nacks: string[] = []
  const server = await createAdsServer(
    {},
    {
      clock: realClock,
      log: silentLogger,
      viewOf: () => 'all',
      onHealth: (_node, healthy, message) => health.push(healthy ? 'healthy' : message),
      onAnswer: (answer) => {
        if (answer.error !== undefined) nacks.push(answer.error)
      },
    },
  )
  const address = await server.listen({ host: '127.0.0.1', port })
  assert.ok('port' in address)
  return { server, address, health, nacks }
}

const OUTBOUND = { outbound: { host: '127.0.0.1', port: 0 } }

describe('proxy over ADS', () => {
  test('is configured, reports health, survives the control plane and boots without it', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'weft-proxy-'))
    const app = await openApp(() => 'hello')
    const control = await openControl()
    const source = { kind: 'ads', connect: control.address, lastGoodDir: dir } as const
    const first = await openProxy('client', { ...OUTBOUND, source })
    const port = first.proxy.outbound?.port ?? 0
    try {
      control.server.publish('all', outboundTo(app.port, first.proxy), 'g1')
      await first.proxy.ready
      assert.equal((await get(port, 'http://reviews:9080/')).body, 'hello')
      await until(() => control.health.includes('healthy'))

      await control.server.close()
      assert.equal((await get(port, 'http://reviews:9080/')).body, 'hello')
      await first.proxy.close()

      // Its port is another one this time.
      const second = await openProxy('client', { ...OUTBOUND, source })
      try {
        await second.proxy.ready
        const newPort = second.proxy.outbound?.port ?? 0
        assert.equal((await get(newPort, 'http://reviews:9080/')).body, 'hello')
        assert.equal(second.proxy.listeners().size, 1)
        assert.match((await adminGet(second.proxy, '/server_info')).body, /"configuration": "disk"/)
      } finally {
        await second.proxy.close()
      }
    } finally {
      await first.proxy.close()
      await control.server.close()
      app.server.close()
      await rm(dir, { recursive: true })
    }
  })

  test('what it cannot run is refused by name with the reason, and the rest is used', async () => {
    const app = await openApp(() => 'hello')
    const control = await openControl()
    const { proxy } = await openProxy('client', {
      ...OUTBOUND,
      source: { kind: 'ads', connect: control.address },
    })
    try {
      const good = outboundTo(app.port, proxy)
      const named = endpoints('misnamed', ['no-address'], false)
      const discovery = { kind: 'static', endpoints: named } as const
      const bad: ResourceSet = {
        ...good,
        cluster: new Map([...good.cluster, ['misnamed', cluster('misnamed', discovery)]]),
      }
      control.server.publish('all', bad, 'g1')
      await until(() => control.nacks.length > 0)
      assert.match(control.nacks[0] ?? '', /misnamed.*must be an IP address/)
      control.server.publish('all', good, 'g2')
      await proxy.ready
      assert.equal((await get(proxy.outbound?.port ?? 0, 'http://reviews:9080/')).body, 'hello')
      assert.ok((await adminGet(proxy, '/clusters')).body.includes(REVIEWS))
    } finally {
      await proxy.close()
      await control.server.close()
      app.server.close()
    }
  })

  test('a listener whose port is taken is refused as Envoy refuses it; the one before goes on, and it comes once the port is free', async () => {
    const app = await openApp(() => 'hello')
    const other = await openApp(() => 'taken')
    const control = await openControl()
    const source = { kind: 'ads', connect: control.address } as const
    const { proxy } = await openProxy('edge', { role: 'gateway', source })
    const at = (port: number): ResourceSet => ({
      ...outboundTo(app.port, proxy),
      listener: new Map([['door', listener('door', 'outbound', port)]]),
    })
    try {
      control.server.publish('all', at(other.port), 'g1')
      await until(() => control.nacks.length > 0)
      const taken = `cannot bind '127.0.0.1:${other.port}': .*EADDRINUSE`
      assert.match(control.nacks[0] ?? '', new RegExp(`^door: ${taken}`))
      await until(() => control.health.some((message) => /^cannot bind/.test(message)))
      assert.equal((await adminGet(proxy, '/ready')).status, 503)
      assert.deepEqual(control.server.quarantined(), [])

      const first = await freePort()
      control.server.publish('all', at(first), 'g2')
      await proxy.ready
      assert.equal((await get(first, 'http://reviews:9080/')).body, 'hello')

      const before = control.nacks.length
      control.server.publish('all', at(other.port), 'g3')
      await until(() => control.nacks.length > before)
      assert.equal((await get(first, 'http://reviews:9080/')).body, 'hello')
      assert.equal((await get(other.port, '/')).body, 'taken')

      other.server.close()
      other.server.closeAllConnections()
      await until(() => proxy.listeners().get('door')?.port === other.port)
      assert.equal((await get(other.port, 'http://reviews:9080/')).body, 'hello')
      await until(() => isAccepted(control))
    } finally {
      await proxy.close()
      await control.server.close()
      app.server.close()
      other.server.close()
    }
  })

  test('a listener kept from an earlier run whose port is taken now is reported, too', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'weft-proxy-'))
    const app = await openApp(() => 'hello')
    const control = await openControl()
    const source = { kind: 'ads', connect: control.address, lastGoodDir: dir } as const
    const first = await openProxy('edge', { role: 'gateway', source })
    const port = await freePort()
    const listeners = new Map([['door', listener('door', 'outbound', port)]])
    control.server.publish(
      'all',
      { ...outboundTo(app.port, first.proxy), listener: listeners },
      'g1',
    )
    await first.proxy.ready
    await first.proxy.close()
    const thief = createServer().listen(port, '127.0.0.1')
    await once(thief, 'listening')
    const second = await openProxy('edge', { role: 'gateway', source })
    try {
      await until(() => control.nacks.some((nack) => /^door: cannot bind/.test(nack)))
      thief.close()
      await until(() => second.proxy.listeners().get('door')?.port === port)
      await until(() => isAccepted(control))
    } finally {
      thief.close()
      await second.proxy.close()
      await control.server.close()
      app.server.close()
      await rm(dir, { recursive: true })
    }
  })
})

/** The only proxy that is connected has the listener that it was sent last. */
function isAccepted({ server }: Control): boolean {
  const [connection] = server.connections()
  const type = connection?.types.find(({ typeUrl }) => typeUrl === TYPE_URLS.listener)
  return type?.resources.find(({ name }) => name === 'door')?.state === 'acked'
}

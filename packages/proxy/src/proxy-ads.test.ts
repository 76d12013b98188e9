import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import type { ResourceSet, SocketAddress } from '@weft/model'
import { type AdsServer, createAdsServer } from '@weft/xds'
import { adminGet, get, openApp, openProxy, outboundTo, REVIEWS, until } from './test-proxy.ts'
import { cluster, endpoints } from './test-resources.ts'

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
})

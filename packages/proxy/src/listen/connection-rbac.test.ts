/** Authorization of connections, and its end when the rules change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NetworkRbac, Permission } from '@weft/model'
import { MATCH_ALL } from '@weft/model'
import { createMemoryTransport } from '@weft/net'
import { End, TakingApp, tcpRuntime, until } from '../downstream/tcp-fixture.ts'
import type { ConnectionRecord, ListenerRuntime } from '../exchange/contract.ts'
import { clusterOf, engineDeps, upstreamOf } from '../exchange/engine-fixture.ts'
import { openListener } from './listener.ts'
import { ListenerSlot } from './listener-slot.ts'

const ANY = { kind: 'any' } as const

function filter(action: 'allow' | 'deny', permission: Permission): NetworkRbac {
  const policy = { name: 'p', permissions: [permission], principals: [ANY], origins: [] } as const
  return { statPrefix: 'tcp.', rules: { action, policies: [policy] } }
}

async function proxied(rbac: readonly [NetworkRbac, ...NetworkRbac[]] | undefined) {
  const transport = createMemoryTransport()
  const deps = engineDeps(transport)
  const { end: app, accepted, take } = new TakingApp()
  const address = { host: '127.0.0.1', port: 9_000 }
  await transport.listen({ address }, take)
  const cluster = upstreamOf(clusterOf('db', [address]), deps)
  const records: ConnectionRecord[] = []
  const handler = tcpRuntime(cluster, records, { direction: 'inbound' })
  const runtime = (steps: typeof rbac): ListenerRuntime => ({
    name: 'test',
    direction: 'inbound',
    chains: [
      { name: 'only', match: MATCH_ALL, ...(steps === undefined ? {} : { rbac: steps }), handler },
    ],
  })
  const slot = new ListenerSlot(runtime(rbac))
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  const end = new End()
  const client = transport.connect(listener.address, end)
  const publish = (steps: typeof rbac) => slot.publish(runtime(steps))
  return { app, accepted, end, client, records, listener, cluster, publish }
}

test('a refused connection is closed before the application hears of it, and logged', async () => {
  const { accepted, end, client, records, listener, cluster } = await proxied([filter('deny', ANY)])
  client.write(Buffer.from('query'))
  await until(() => end.isOver && records.length > 0)
  assert.equal(accepted.length, 0)
  assert.equal(
    records[0]?.failureDetail,
    'rbac_access_denied_matched_policy[p]: it holds for everybody',
  )
  assert.equal(listener.connections, 0)
  assert.equal(cluster.limits.inUse().connections, 0)
})

test('rules about requests hold for no connection', async () => {
  const path: Permission = {
    kind: 'path',
    value: { kind: 'prefix', value: '/', ignoreCase: false },
  }
  const { end, records } = await proxied([filter('allow', path)])
  await until(() => end.isOver && records.length > 0)
  assert.equal(
    records[0]?.failureDetail,
    'rbac_access_denied_matched_policy[none]: p: path begins with "/", found a connection without a request',
  )
})

test('a right that is taken away ends the connection it allowed; one that stays does not', async () => {
  const { app, end, client, records, publish, listener } = await proxied([filter('allow', ANY)])
  client.write(Buffer.from('one'))
  await until(() => app.text === 'one')
  publish([filter('allow', ANY)])
  client.write(Buffer.from('two'))
  await until(() => app.text === 'onetwo')
  assert.equal(end.isOver, false)
  publish([filter('allow', ANY), filter('deny', ANY)])
  await until(() => end.isOver && records.length > 0)
  assert.equal(
    records[0]?.failureDetail,
    'rbac_access_denied_matched_policy[p]: it holds for everybody',
  )
  await until(() => listener.connections === 0)
  publish(undefined)
  assert.equal(records.length, 1)
})

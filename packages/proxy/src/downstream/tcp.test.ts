import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryTransport } from '@weft/net'
import type { ConnectionRecord } from '../exchange/contract.ts'
import { clusterOf, engineDeps, listenerRuntime, upstreamOf } from '../exchange/engine-fixture.ts'
import { openListener } from '../listen/listener.ts'
import { ListenerSlot } from '../listen/listener-slot.ts'
import { End, TakingApp, tcpRuntime, until } from './tcp-fixture.ts'

async function proxied(hasUpstream = true) {
  const transport = createMemoryTransport()
  const deps = engineDeps(transport)
  const { end: app, accepted, take } = new TakingApp()
  const address = { host: '127.0.0.1', port: 9_000 }
  if (hasUpstream) await transport.listen({ address }, take)
  const cluster = upstreamOf(clusterOf('db', [address]), deps)
  const records: ConnectionRecord[] = []
  const runtime = tcpRuntime(cluster, records)
  const slot = new ListenerSlot(listenerRuntime(runtime))
  const listener = await openListener({ address: { host: '127.0.0.1', port: 0 } }, slot, deps)
  const end = new End()
  const client = transport.connect(listener.address, end)
  return { app, accepted, end, client, records, listener, cluster }
}

test('bytes go both ways, each side ends by itself, and the record counts them', async () => {
  const { app, accepted, end, client, records, listener, cluster } = await proxied()
  client.write(Buffer.from('query'))
  await until(() => app.text === 'query')
  client.end()
  await until(() => app.ended)
  accepted[0]?.write(Buffer.from('result'))
  accepted[0]?.end()
  await until(() => end.text === 'result' && end.ended)
  client.close()
  accepted[0]?.close()
  await until(() => records.length > 0)
  const { receivedBytes, sentBytes, responseFlags } = records[0] ?? {}
  assert.deepEqual([receivedBytes, sentBytes, responseFlags], [5, 6, '-'])
  assert.equal(listener.connections, 0)
  assert.equal(cluster.limits.inUse().connections, 0)
})

test('a refused upstream closes the client and says why', async () => {
  const { end, records, cluster } = await proxied(false)
  await until(() => end.ended || end.closed)
  assert.equal(records[0]?.responseFlags, 'UF,URX')
  assert.match(records[0]?.failureDetail ?? '', /127\.0\.0\.1:9000: .*ECONNREFUSED/)
  assert.equal(cluster.limits.inUse().connections, 0)
})

test('many megabytes pass through a slow reader without being lost', async () => {
  const { app, accepted, end, client, records } = await proxied()
  client.write(Buffer.from('go'))
  await until(() => app.text === 'go')
  accepted[0]?.write(Buffer.alloc(5_000_000, 1))
  accepted[0]?.end()
  await until(() => end.ended)
  assert.equal(end.bytes, 5_000_000)
  client.close()
  await until(() => records.length > 0)
})

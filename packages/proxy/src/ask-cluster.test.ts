/** Questions that whoever runs a proxy asks over one of its clusters. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { eventually } from '@weft/testkit'
import { openProxy } from './test-proxy.ts'
import { cluster, endpoints, setOf } from './test-resources.ts'

test('a gRPC service is asked over a cluster of the newest configuration', async (t) => {
  const server = createServer()
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.respond({ ':status': 200 }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    const said = Buffer.from(String(headers[':authority']))
    stream.end(Buffer.concat([Buffer.of(0, 0, 0, 0, said.length), said]))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const { proxy, publish } = await openProxy('asking')
  t.after(async () => {
    await proxy.close()
    server.close()
  })
  const question = { path: '/a.B/C', authority: 'limits', timeoutMs: 5_000, message: Buffer.of(1) }
  const ask = () =>
    new Promise<string | undefined>((resolve, reject) => {
      const cancel = proxy.askCluster('limits', question, (message) =>
        resolve(message === undefined ? undefined : String(Buffer.from(message))),
      )
      if (cancel === undefined) reject(new Error('no such cluster'))
    })
  await assert.rejects(ask(), /no such cluster/)
  const plain = cluster('limits')
  const limits = { ...plain, http: { ...plain.http, protocol: 'http2' as const } }
  const places = endpoints('limits', [`127.0.0.1:${port}`], false)
  publish(setOf({ listener: [], route: [], cluster: [limits], endpoints: [places] }))
  await eventually(async () => assert.equal(await ask(), 'limits'))
})

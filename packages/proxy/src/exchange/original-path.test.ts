/** What an upstream is told of a path that the route has rewritten, and when it is not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpConnectionManager, RouteAction, SocketAddress } from '@weft/model'
import { createMemoryTransport, type Socket } from '@weft/net'
import { End, settle } from '../downstream/tcp-fixture.ts'
import { clusterOf, engineDeps, upstreamOf } from './engine-fixture.ts'
import { openEngine } from './open-engine.ts'

const REWRITE: Partial<RouteAction> = { pathRewrite: { kind: 'prefix', value: '/api/' } }

/** Heads as the upstream got them and as the client got its answer, in lower case. */
async function heads(
  request: string,
  action: Partial<RouteAction>,
  manager: Partial<HttpConnectionManager> = {},
) {
  const transport = createMemoryTransport({ cutBytes: 65_536 })
  const deps = engineDeps(transport)
  const address: SocketAddress = { host: '127.0.0.1', port: 9_000 }
  let seen = ''
  await transport.listen({ address }, (socket: Socket) => {
    const end = new End()
    end.onData = (bytes, length) => {
      seen += Buffer.from(bytes.subarray(0, length)).toString('latin1')
      socket.write(Buffer.from('HTTP/1.1 204 No Content\r\n\r\n'))
    }
    return end
  })
  const cluster = upstreamOf(clusterOf('app', [address]), deps)
  const observer = { onExchangeEnd() {}, onConnectionEnd() {} }
  const { listener } = await openEngine([cluster], observer, { action, manager }, deps)
  const client = new End()
  transport.connect(listener.address, client).write(Buffer.from(request))
  await settle()
  return { upstream: seen.toLowerCase(), client: client.text.toLowerCase() }
}

const GET = 'GET /a?b=1 HTTP/1.1\r\nHost: app\r\n\r\n'

test('the path before the rewrite goes along, with its query', async () => {
  const { upstream } = await heads(GET, REWRITE)
  assert.match(upstream, /^get \/api\/a\?b=1 http\/1\.1\r\n/)
  assert.match(upstream, /\r\nx-envoy-original-path: \/a\?b=1\r\n/)
})

test('a caller cannot say another one; without a rewrite what it says is its own', async () => {
  const said = GET.replace('Host', 'X-Envoy-Original-Path: /lie\r\nHost')
  const told = (text: string) => text.match(/x-envoy-original-path: .*/g)
  assert.deepEqual(told((await heads(said, REWRITE)).upstream), ['x-envoy-original-path: /a?b=1'])
  assert.deepEqual(told((await heads(said, {})).upstream), ['x-envoy-original-path: /lie'])
})

test('a router that suppresses Envoy headers tells neither paths nor times', async () => {
  const action = { ...REWRITE, timeoutMs: 5_000 }
  const shown = await heads(GET, action)
  assert.match(shown.upstream, /x-envoy-expected-rq-timeout-ms: \d+/)
  assert.match(shown.client, /x-envoy-upstream-service-time/)
  const hidden = await heads(GET, action, { suppressEnvoyHeaders: true })
  assert.match(hidden.upstream, /^get \/api\/a\?b=1 /)
  assert.doesNotMatch(hidden.upstream, /original-path|expected-rq-timeout/)
  assert.doesNotMatch(hidden.client, /upstream-service-time/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { portProtocol } from '../../registries/declared/port-protocol.ts'
import { DEFAULT_MESH } from '../../snapshot/mesh-settings.ts'
import { connectionPool, tcpSettings } from './connection-pool.ts'

const protocolOf = (name: string, appProtocol?: string) =>
  connectionPool(undefined, portProtocol({ port: 80, name, appProtocol }), DEFAULT_MESH).http
    .protocol

test('gRPC and HTTP/2 ports are called with HTTP/2, by name or by appProtocol', () => {
  assert.equal(protocolOf('grpc'), 'http2')
  assert.equal(protocolOf('grpc-api'), 'http2')
  assert.equal(protocolOf('http2-web'), 'http2')
  assert.equal(protocolOf('web', 'grpc'), 'http2')
  assert.equal(protocolOf('web', 'kubernetes.io/h2c'), 'http2')
  assert.equal(protocolOf('http'), 'http1')
  assert.equal(protocolOf('grpc-web'), 'http1')
  assert.equal(protocolOf('web'), 'downstream')
})

test('HTTP/1.1 ports are upgraded by the rule, else by the mesh', () => {
  const upgrade = { http: { h2UpgradePolicy: 'UPGRADE' } } as const
  const stay = { http: { h2UpgradePolicy: 'DO_NOT_UPGRADE' } } as const
  const mesh = { ...DEFAULT_MESH, h2Upgrade: true }
  assert.equal(connectionPool(upgrade, 'http', DEFAULT_MESH).http.protocol, 'http2')
  assert.equal(connectionPool(undefined, 'http', mesh).http.protocol, 'http2')
  assert.equal(connectionPool(stay, 'http', mesh).http.protocol, 'http1')
  assert.equal(connectionPool(upgrade, 'tcp', DEFAULT_MESH).http.protocol, 'http1')
  const client = { http: { useClientProtocol: true } }
  assert.equal(connectionPool(client, 'grpc', mesh).http.protocol, 'downstream')
})

test('the age of connections, their keepalive and the streams on them are the rule’s', () => {
  const settings = {
    tcp: { maxConnectionDuration: '10m', idleTimeout: '90s' },
    http: { http2KeepAlive: { interval: '30s', timeout: '5s' }, maxConcurrentStreams: 7 },
  }
  const { http } = connectionPool(settings, 'grpc', DEFAULT_MESH)
  assert.equal(http.maxConnectionDurationMs, 600_000)
  assert.deepEqual(http.keepAlive, { intervalMs: 30_000, timeoutMs: 5_000 })
  assert.equal(http.maxConcurrentStreams, 7)
  assert.deepEqual(tcpSettings(settings), {
    idleTimeoutMs: 90_000,
    maxConnectionDurationMs: 600_000,
  })
})

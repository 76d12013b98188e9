import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindAddress } from './bind-address.ts'
import { listener } from './test-resources.ts'

const files = { source: { kind: 'files', path: '/x' } } as const
const ads = { source: { kind: 'ads', connect: { host: '127.0.0.1', port: 1 } } } as const
const nothing = { outbound: undefined, offers: [] }
const any = { ...listener('0.0.0.0_80'), address: { host: '0.0.0.0', port: 80 } }

test('files are mapped to this machine, a control plane has done it already', () => {
  const here = { portMap: { '80': 8080 }, bindHost: '127.0.0.1' }
  assert.deepEqual(bindAddress(any, { ...files, ...here }, nothing), {
    host: '127.0.0.1',
    port: 8080,
  })
  assert.deepEqual(bindAddress(any, { ...ads, ...here }, nothing), { host: '127.0.0.1', port: 80 })
  assert.deepEqual(bindAddress(any, files, nothing), { host: '0.0.0.0', port: 80 })
})

test('an address that was meant is not replaced', () => {
  const meant = { ...any, address: { host: '10.0.0.1', port: 80 } }
  assert.equal(bindAddress(meant, { ...ads, bindHost: '127.0.0.1' }, nothing).host, '10.0.0.1')
})

test('what the proxy opened itself stays where it is, though an earlier run was elsewhere', () => {
  const bound = {
    outbound: { host: '127.0.0.1', port: 40_001 },
    offers: [
      {
        service: 'reviews',
        port: 9080,
        protocol: 'http',
        address: '127.0.0.1',
        listenPort: 40_002,
        appAddress: '127.0.0.1',
        appPort: 3000,
      },
    ],
  }
  const ports = ['weft:outbound', 'weft:inbound|9080', 'weft:inbound|1'].map(
    (name) => bindAddress(listener(name, 'inbound', 30_000), ads, bound).port,
  )
  assert.deepEqual(ports, [40_001, 40_002, 30_000])
})

import { parseDocuments } from '@weft/config'
import { FakeClock } from '@weft/testkit'
import { registries } from './catalog.ts'
import { testRegistry } from './conformance.ts'

const SERVICE =
  '{apiVersion: v1, kind: Service, metadata: {name: reviews}, spec: {ports: [{port: 9080}], selector: {app: reviews}}}'

testRegistry('static', () => {
  const registry = new registries.static({ domain: 'cluster.local', cluster: 'test' })
  return {
    registry,
    serve(addresses) {
      const pods = addresses.map(
        (ip) =>
          `{apiVersion: v1, kind: Pod, metadata: {name: p${ip.replaceAll('.', '-')}, labels: {app: reviews}}, spec: {containers: []}, status: {podIP: ${ip}, phase: Running}}`,
      )
      const text = [SERVICE, ...pods].join('\n---\n')
      registry.set(parseDocuments(text, { file: 'test.yaml' }).documents)
    },
  }
})

testRegistry('self-registration', () => {
  const clock = new FakeClock()
  const registry = new registries['self-registration'](
    { domain: 'cluster.local', graceMs: 5_000, restoredGraceMs: 30_000 },
    clock,
  )
  const connected = new Set<string>()
  return {
    registry,
    serve(addresses) {
      // Newcomers first: a service whose last workload goes is gone itself.
      for (const address of addresses) {
        if (connected.has(address)) continue
        connected.add(address)
        registry.connected(
          {
            id: address,
            workload: {
              name: 'reviews-v1',
              namespace: 'default',
              serviceAccount: 'default',
              labels: {},
              locality: { region: '', zone: '', subZone: '' },
              cluster: 'test',
            },
            offers: [
              {
                service: 'reviews',
                port: 9080,
                protocol: 'http',
                address,
                listenPort: 20_000,
                appAddress: '127.0.0.1',
                appPort: 9080,
              },
            ],
          },
          1,
        )
        registry.reported(address, true)
      }
      for (const address of connected) {
        if (addresses.includes(address)) continue
        connected.delete(address)
        registry.reported(address, false)
        registry.disconnected(address, 1)
      }
      // Changes that come close together are one state.
      clock.advance(10)
    },
  }
})

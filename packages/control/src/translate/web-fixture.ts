/** The service `web`, a sidecar that serves it and a gateway before it; for tests only. */
import type { ProxyView } from './proxy-view.ts'

/** Without a separator at its end. */
export const WEB_SERVICE = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {ports: [{name: http, port: 80}, {name: tcp-db, port: 5432}]}
`

const offer = (port: number, protocol: string) => ({
  service: 'web',
  port,
  protocol,
  address: '127.0.0.1',
  listenPort: 20_000 + port,
  appAddress: '127.0.0.1',
  appPort: 30_000 + port,
})

export const SIDECAR: Partial<ProxyView> = {
  labels: { app: 'web' },
  capture: { kind: 'explicit', outbound: { host: '127.0.0.1', port: 15001 } },
  offers: [offer(80, 'http'), offer(5432, 'tcp')],
}

export const GATEWAY: Partial<ProxyView> = {
  role: 'gateway',
  workload: 'edge',
  labels: { app: 'edge' },
}

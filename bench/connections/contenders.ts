/** The proxies, each with the front that a kind of connection needs. */
import type { Contender, Place } from '../kit/contest.ts'
import { launchEnvoy, launchHaproxy, launchNginx, launchWeft, nginxProxyTo } from '../kit/launch.ts'
import { cluster, httpListener, type Json } from '../kit/resources.ts'

export const KINDS = ['http1', 'tls', 'http2', 'websocket'] as const
export type Kind = (typeof KINDS)[number]

export function contendersFor(kind: Kind, secrets: readonly Json[]): readonly Contender[] {
  const isTls = kind === 'tls'
  const identity = { certificate: 'identity', validation: 'ca', alpn: ['http/1.1'] }
  const options = {
    ...(isTls ? { tls: { ...identity, requireClient: false } } : {}),
    ...(kind === 'http2' ? { codec: 'HTTP2' as const } : {}),
  }
  const resources = ({ ports: [port = 0], origin }: Place) => ({
    listeners: [httpListener(port, 'app', options)],
    clusters: [cluster('app', [origin])],
    secrets: isTls ? secrets : [],
  })
  return [
    {
      name: 'weft',
      launches: (place) => [launchWeft(place.dir, place.ports[0] ?? 0, resources(place))],
    },
    {
      name: 'haproxy',
      program: 'haproxy',
      launches({ dir, shared, ports: [port = 0], origin }) {
        const front = {
          http1: '',
          tls: ` ssl crt ${shared}/certificates/bundle.pem alpn http/1.1`,
          http2: ' proto h2',
          websocket: '',
        }[kind]
        const sections = `frontend f\n  bind 127.0.0.1:${port}${front}\n  default_backend b\nbackend b\n  server a 127.0.0.1:${origin}\n`
        return [launchHaproxy(dir, port, 'http', sections)]
      },
    },
    {
      name: 'nginx',
      program: 'nginx',
      launches({ dir, shared, ports: [port = 0], origin }) {
        const front = { http1: '', tls: ' ssl', http2: ' http2', websocket: '' }[kind]
        const pair = `${shared}/certificates`
        const certificate = isTls
          ? `ssl_certificate ${pair}/cert.pem; ssl_certificate_key ${pair}/key.pem;`
          : ''
        const server = `server { listen 127.0.0.1:${port}${front}; location / { proxy_pass http://app; } }`
        return [launchNginx(dir, port, `${nginxProxyTo(origin)}\n${certificate}\n${server}`)]
      },
    },
    {
      name: 'envoy',
      program: 'envoy',
      launches: (place) => [launchEnvoy(place.dir, place.ports[0] ?? 0, resources(place))],
    },
  ]
}

/**
 * What does TLS 1.3 cost at the proxy's front: requests on connections that stay, and handshakes
 * with certificates of both ends, full and resumed. Both ends show an X.509-SVID of the mesh's CA.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Contender, type Place, runScenario, type Scenario } from '../kit/contest.ts'
import { launchEnvoy, launchHaproxy, launchNginx, launchWeft, nginxProxyTo } from '../kit/launch.ts'
import { cluster, httpListener, type Json } from '../kit/resources.ts'
import { makeSvids } from '../kit/svids.ts'
import { wrk } from '../kit/wrk.ts'

const execute = promisify(execFile)
let secrets: readonly Json[] = []

function resources({ ports: [port = 0], origin }: Place) {
  const tls = { certificate: 'identity', validation: 'ca', alpn: ['http/1.1'] }
  return {
    listeners: [httpListener(port, 'app', { tls: { ...tls, requireClient: false } })],
    clusters: [cluster('app', [origin])],
    secrets,
  }
}

const haproxy: Contender = {
  name: 'haproxy',
  program: 'haproxy',
  launches({ dir, shared, ports: [port = 0], origin }) {
    const certificates = `${shared}/certificates`
    const tls = `ssl crt ${certificates}/bundle.pem ca-file ${certificates}/ca.pem verify optional alpn http/1.1`
    return [
      launchHaproxy(
        dir,
        port,
        'http',
        `frontend f\n  bind 127.0.0.1:${port} ${tls}\n  default_backend b\nbackend b\n  server a 127.0.0.1:${origin}\n`,
      ),
    ]
  },
}

const nginx: Contender = {
  name: 'nginx',
  program: 'nginx',
  launches({ dir, shared, ports: [port = 0], origin }) {
    const certificates = `${shared}/certificates`
    return [
      launchNginx(
        dir,
        port,
        `${nginxProxyTo(origin)}
  ssl_certificate ${certificates}/cert.pem; ssl_certificate_key ${certificates}/key.pem;
  ssl_client_certificate ${certificates}/ca.pem; ssl_verify_client optional; ssl_protocols TLSv1.2 TLSv1.3;
  server { listen 127.0.0.1:${port} ssl; location / { proxy_pass http://app; } }`,
      ),
    ]
  },
}

const tls: Scenario = {
  name: 'tls',
  summary: 'CPU per request over TLS, and per TLS 1.3 handshake with certificates of both ends.',
  unit: 'request',
  needs: ['wrk', 'openssl'],
  async prepare(shared) {
    secrets = await makeSvids(shared)
  },
  contenders: [
    {
      name: 'weft',
      launches: (place) => [launchWeft(place.dir, place.ports[0] ?? 0, resources(place))],
    },
    haproxy,
    nginx,
    {
      name: 'envoy',
      program: 'envoy',
      launches: (place) => [launchEnvoy(place.dir, place.ports[0] ?? 0, resources(place))],
    },
  ],
  works: [
    ...[100, 100_000].map((size) => ({
      name: `${size} B kept alive`,
      load: (port: number, seconds: number) =>
        wrk(`https://127.0.0.1:${port}/bytes/${size}`, seconds),
    })),
    { name: 'mTLS handshake', load: handshakes('-new') },
    { name: 'mTLS resumed', load: handshakes('-reuse') },
  ],
}

/** A request on each connection: tickets come after the handshake. */
function handshakes(kind: '-new' | '-reuse') {
  return async (port: number, seconds: number, shared: string): Promise<number> => {
    const dir = `${shared}/certificates`
    const { stdout } = await execute('openssl', [
      ...['s_time', '-connect', `127.0.0.1:${port}`, kind, '-time', String(seconds)],
      // It writes HTTP/1.0 behind this, which not everybody takes: there it is a field's value.
      ...['-www', '/bytes/100 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nx-tail:'],
      ...['-cert', `${dir}/cert.pem`, '-key', `${dir}/key.pem`],
      ...['-CAfile', `${dir}/trusted-by-client.pem`],
    ])
    const count = Number(/(\d+) connections in/.exec(stdout)?.[1] ?? 0)
    if (count < 10) throw new Error(`Cannot measure: only ${count} connections`)
    const full = (stdout.match(/\*/g) ?? []).length
    const resumed = (stdout.match(/r/g) ?? []).length
    if (kind === '-reuse' && full > resumed / 10) {
      throw new Error(`Cannot measure: sessions were not resumed: ${stdout.slice(0, 200)}`)
    }
    return count
  }
}

export const run = (argv: string[]): Promise<number> => runScenario(tls, argv)

/** nginx, HAProxy and Envoy in front of an application, each over HTTP/1.1, HTTP/2 and TLS. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import type { TestCertificate } from '@weft/testkit'
import { eventually, freePort } from '@weft/testkit'
import { envoyPath, loopback } from './envoy.ts'

interface PeerFiles {
  readonly dir: string
  readonly server: TestCertificate
  readonly caPem: string
}

interface Ports {
  readonly http1: number
  readonly http2: number
  /** HTTP/1.1 and HTTP/2 by ALPN. */
  readonly tls: number
}

export interface Peer extends AsyncDisposable {
  readonly ports: Ports
}

export const peers = { nginx, haproxy, envoy } as const
export type PeerName = keyof typeof peers

/** Why a program cannot take part; `false` when it can. */
export function missing(name: string): string | false {
  if (name === 'envoy') return envoyPath === undefined ? 'no Envoy' : false
  return programPath(name) === undefined ? `${name} is not installed` : false
}

function programPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

async function freePorts(): Promise<Ports> {
  return { http1: await freePort(), http2: await freePort(), tls: await freePort() }
}

async function running(path: string, args: string[], ports: readonly number[]) {
  const child: ChildProcess = spawn(path, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  let errors = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  for (const port of ports) {
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`${path} ended: ${errors}`)
      await accepts(port)
    })
  }
  return async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
}

function accepts(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', reject)
    socket.on('connect', () => {
      socket.destroy()
      resolve()
    })
  })
}

async function nginx(app: number, { dir, server }: PeerFiles): Promise<Peer> {
  const ports = await freePorts()
  const file = (name: string, text: string) => {
    writeFileSync(join(dir, name), text)
    return join(dir, name)
  }
  const location = `location / {
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_pass http://127.0.0.1:${app};
    }`
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(dir, name)};`)
    .join('\n  ')
  const config = file(
    'nginx.conf',
    `daemon off; master_process off; pid ${join(dir, 'nginx.pid')}; error_log stderr error;
events {}
http {
  access_log off; client_max_body_size 0;
  ${temporary}
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server { listen 127.0.0.1:${ports.http1}; ${location} }
  server { listen 127.0.0.1:${ports.http2} http2; ${location} }
  server {
    listen 127.0.0.1:${ports.tls} ssl http2;
    ssl_certificate ${file('nginx.crt', server.certPem)};
    ssl_certificate_key ${file('nginx.key', server.keyPem)};
    ${location}
  }
}`,
  )
  const args = ['-c', config, '-p', dir, '-e', 'stderr']
  const stop = await running(programPath('nginx') ?? '', args, Object.values(ports))
  return { ports, [Symbol.asyncDispose]: stop }
}

function temporaryPaths(dir: string): string {
  return ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(dir, name)};`)
    .join(' ')
}

/** nginx whose one server has these locations. */
export async function nginxSite(
  locations: string,
  dir: string,
): Promise<AsyncDisposable & { readonly port: number }> {
  const port = await freePort()
  const config = join(dir, 'nginx-site.conf')
  writeFileSync(
    config,
    `daemon off; master_process off; pid ${join(dir, 'nginx-site.pid')}; error_log stderr crit;
events {}
http {
  access_log off;
  ${temporaryPaths(dir)}
  server { listen 127.0.0.1:${port}; default_type text/plain; ${locations} }
}`,
  )
  const args = ['-c', config, '-p', dir, '-e', 'stderr']
  const stop = await running(programPath('nginx') ?? '', args, [port])
  return { port, [Symbol.asyncDispose]: stop }
}

/** Of Debian; another system's Apache takes no part. */
const APACHE_MODULES = '/usr/lib/apache2/modules'

/** Why Apache cannot take part; `false` when it can. */
export function missingApache(): string | false {
  return existsSync(join(APACHE_MODULES, 'mod_mpm_event.so')) ? missing('apache2') : 'no apache2'
}

/**
 * Apache as loose as it can be set: escaped slashes are decoded. `/admin` and all below answer
 * `secret`, everything else `open`.
 */
export async function apacheSite(
  { secret, open }: { readonly secret: string; readonly open: string },
  dir: string,
): Promise<AsyncDisposable & { readonly port: number }> {
  const port = await freePort()
  const file = (name: string, text: string) => {
    const path = join(dir, name)
    writeFileSync(path, text)
    return path
  }
  const [hidden, shown] = [file('secret.txt', secret), file('open.txt', open)]
  const modules = ['mpm_event', 'authz_core', 'alias'].map(
    (name) => `LoadModule ${name}_module ${APACHE_MODULES}/mod_${name}.so`,
  )
  const config = file(
    'apache.conf',
    `${modules.join('\n')}
ServerName 127.0.0.1
Listen 127.0.0.1:${port}
PidFile ${join(dir, 'apache.pid')}
DefaultRuntimeDir ${dir}
DocumentRoot ${dir}
ErrorLog ${join(dir, 'apache.log')}
Mutex file:${dir}
AllowEncodedSlashes On
AcceptPathInfo On
StartServers 1
AliasMatch "^/admin(/.*)?$" "${hidden}"
AliasMatch "^/.*$" "${shown}"
<Directory "/">
  Require all granted
</Directory>
`,
  )
  const stop = await running(programPath('apache2') ?? '', ['-X', '-f', config, '-d', dir], [port])
  return { port, [Symbol.asyncDispose]: stop }
}

/** nginx that takes gRPC over HTTP/2 and passes it on to `port`. */
export async function grpcFront(port: number, dir: string): Promise<Peer> {
  const ports = { http1: 0, http2: await freePort(), tls: 0 }
  const config = join(dir, 'nginx-grpc.conf')
  writeFileSync(
    config,
    `daemon off; master_process off; pid ${join(dir, 'nginx.pid')}; error_log stderr crit;
events {}
http {
  access_log off; client_max_body_size 0; ${temporaryPaths(dir)}
  server {
    listen 127.0.0.1:${ports.http2} http2;
    location / {
      grpc_pass grpc://127.0.0.1:${port};
      grpc_set_header Host $host;
      # It buffers answers otherwise, and a stream would wait.
      grpc_buffer_size 16k;
    }
  }
}`,
  )
  const args = ['-c', config, '-p', dir, '-e', 'stderr']
  const stop = await running(programPath('nginx') ?? '', args, [ports.http2])
  return { ports, [Symbol.asyncDispose]: stop }
}

async function haproxy(app: number, { dir, server }: PeerFiles): Promise<Peer> {
  const ports = await freePorts()
  const pem = join(dir, 'haproxy.pem')
  writeFileSync(pem, server.certPem + server.keyPem)
  const config = join(dir, 'haproxy.cfg')
  writeFileSync(
    config,
    `defaults
  mode http
  timeout connect 5s
  timeout client 20s
  timeout server 20s
  timeout http-keep-alive 20s
frontend http1
  bind 127.0.0.1:${ports.http1}
  default_backend app
frontend http2
  bind 127.0.0.1:${ports.http2} proto h2
  default_backend app
frontend tls
  bind 127.0.0.1:${ports.tls} ssl crt ${pem} alpn h2,http/1.1
  default_backend app
backend app
  server app 127.0.0.1:${app}
`,
  )
  const args = ['-db', '-f', config]
  const stop = await running(programPath('haproxy') ?? '', args, Object.values(ports))
  return { ports, [Symbol.asyncDispose]: stop }
}

/** Its TLS port wants a certificate of the same CA. */
async function envoy(app: number, files: PeerFiles): Promise<Peer> {
  const ports = await freePorts()
  const config = join(files.dir, 'envoy-peer.json')
  const bootstrap = {
    static_resources: {
      listeners: [
        envoyListener('http1', ports.http1, 'app'),
        envoyListener('http2', ports.http2, 'app'),
        envoyListener('tls', ports.tls, 'app', serverTls(files)),
      ],
      clusters: [envoyCluster('app', app)],
    },
  }
  writeFileSync(config, JSON.stringify(bootstrap))
  const stop = await runEnvoy(config, Object.values(ports))
  return { ports, [Symbol.asyncDispose]: stop }
}

const EXTENSIONS = 'type.googleapis.com/envoy.extensions'

export function runEnvoy(config: string, ports: readonly number[]): Promise<() => Promise<void>> {
  const more = ['--concurrency', '1', '--log-level', 'error', '--disable-hot-restart']
  return running(envoyPath ?? '', ['-c', config, ...more], ports)
}

function serverTls({ server, caPem }: PeerFiles) {
  return {
    name: 'tls',
    typed_config: {
      '@type': `${EXTENSIONS}.transport_sockets.tls.v3.DownstreamTlsContext`,
      require_client_certificate: true,
      common_tls_context: commonTls(server, caPem, ['h2', 'http/1.1']),
    },
  }
}

/** As an Envoy wants it for a cluster. */
export function clientTls(client: TestCertificate, caPem: string, sni: string) {
  return {
    name: 'tls',
    typed_config: {
      '@type': `${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni,
      common_tls_context: commonTls(client, caPem, ['h2']),
    },
  }
}

function commonTls(own: TestCertificate, caPem: string, alpn: readonly string[]) {
  return {
    alpn_protocols: alpn,
    tls_certificates: [
      {
        certificate_chain: { inline_string: own.certPem },
        private_key: { inline_string: own.keyPem },
      },
    ],
    validation_context: { trusted_ca: { inline_string: caPem } },
  }
}

export function envoyListener(name: string, port: number, cluster: string, tls?: object) {
  const manager = {
    '@type': `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    codec_type: 'AUTO',
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    http_filters: [
      {
        name: 'router',
        typed_config: { '@type': `${EXTENSIONS}.filters.http.router.v3.Router` },
      },
    ],
    http2_protocol_options: { allow_connect: true },
    route_config: {
      virtual_hosts: [
        {
          name,
          domains: ['*'],
          routes: [{ match: { prefix: '/' }, route: { cluster, timeout: '20s' } }],
        },
      ],
    },
  }
  const filter = { name: 'http', typed_config: manager }
  return {
    name,
    address: loopback(port),
    filter_chains: [{ filters: [filter], ...(tls === undefined ? {} : { transport_socket: tls }) }],
  }
}

export function envoyCluster(name: string, port: number, isHttp2 = false, tls?: object) {
  const options = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
  const http2 = {
    '@type': `${EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: { allow_connect: true } },
  }
  return {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    ...(isHttp2 ? { typed_extension_protocol_options: { [options]: http2 } } : {}),
    ...(tls === undefined ? {} : { transport_socket: tls }),
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(port) } }] }],
    },
  }
}

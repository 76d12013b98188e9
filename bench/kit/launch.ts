/** How each proxy is started for a piece of work, in a folder of its own. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { findProgram } from '../http1/processes.ts'
import { type ResourceFiles, socketAddress, withStaticSecrets } from './resources.ts'

export interface Launch {
  readonly command: string
  readonly args: readonly string[]
  readonly port: number
}

const BIN = fileURLToPath(new URL('../../packages/cli/bin/weft.js', import.meta.url))
const CONFIG = 'type.googleapis.com/envoy.config'
const SECRET = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'

export function launchWeft(
  dir: string,
  port: number,
  resources: ResourceFiles,
  more: readonly string[] = [],
): Launch {
  const folder = `${dir}/xds`
  mkdirSync(folder, { recursive: true })
  write(`${folder}/listeners.json`, `${CONFIG}.listener.v3.Listener`, resources.listeners)
  write(`${folder}/clusters.json`, `${CONFIG}.cluster.v3.Cluster`, resources.clusters)
  if (resources.secrets.length > 0) write(`${folder}/secrets.json`, SECRET, resources.secrets)
  const options = ['--role', 'sidecar', '--name', 'bench', '--resources', folder]
  const ports = ['--outbound', '127.0.0.1:0', '--admin', '127.0.0.1:0']
  return {
    command: process.execPath,
    args: ['--conditions=source', BIN, 'proxy', ...options, ...ports, ...more],
    port,
  }
}

export function launchEnvoy(dir: string, port: number, resources: ResourceFiles): Launch {
  mkdirSync(dir, { recursive: true })
  const path = `${dir}/envoy.json`
  const bootstrap = {
    admin: { address: socketAddress(0) },
    static_resources: withStaticSecrets(resources),
  }
  writeFileSync(path, JSON.stringify(bootstrap))
  const quiet = ['--log-level', 'error', '--disable-hot-restart']
  return {
    command: findProgram('envoy') ?? 'envoy',
    args: ['-c', path, '--concurrency', '1', ...quiet],
    port,
  }
}

/** @param sections What comes after `global` and `defaults`. */
export function launchHaproxy(
  dir: string,
  port: number,
  mode: 'http' | 'tcp',
  sections: string,
): Launch {
  mkdirSync(dir, { recursive: true })
  const path = `${dir}/haproxy.cfg`
  writeFileSync(
    path,
    `global
  nbthread 1
  maxconn 9900
  tune.ssl.default-dh-param 2048
defaults
  mode ${mode}
  no log
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout tunnel 300s
${mode === 'http' ? '  http-reuse always\n  option forwardfor\n' : ''}${sections}`,
  )
  return { command: findProgram('haproxy') ?? 'haproxy', args: ['-f', path, '-db'], port }
}

/** @param http The inside of `http { … }`; @param stream That of `stream { … }`. */
export function launchNginx(dir: string, port: number, http: string, stream = ''): Launch {
  const path = `${dir}/nginx.conf`
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name, i) => `${name}_temp_path ${dir}/t${i};`)
    .join(' ')
  writeFileSync(
    path,
    `${stream === '' ? '' : `load_module ${NGINX_STREAM_MODULE};`}
daemon off;
worker_processes 1;
worker_rlimit_nofile 40000;
pid ${dir}/nginx.pid;
error_log ${dir}/nginx-error.log;
events { worker_connections 30000; }
http {
  ${temporary}
  access_log off;
  sendfile on;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  client_max_body_size 0;
  ${http}
}
${stream === '' ? '' : `stream { ${stream} }`}
`,
  )
  return { command: findProgram('nginx') ?? 'nginx', args: ['-c', path, '-p', dir], port }
}

const NGINX_STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'

export function nginxHasStream(): boolean {
  return existsSync(NGINX_STREAM_MODULE)
}

/** What a reverse proxy passes on as it came, with keep-alive upstream. */
export function nginxProxyTo(port: number): string {
  return `upstream app { server 127.0.0.1:${port}; keepalive 128; keepalive_requests 100000000; }
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  proxy_http_version 1.1;
  proxy_read_timeout 300s;
  proxy_set_header Host $http_host;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
  proxy_set_header x-request-id $request_id;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`
}

function write(path: string, type: string, resources: readonly object[]): void {
  const typed = resources.map((resource) => ({ '@type': type, ...resource }))
  writeFileSync(path, JSON.stringify({ version_info: '1', type_url: type, resources: typed }))
}

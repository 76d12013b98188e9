/**
 * The peers' configurations for the same work: match host, path prefix and one
 * header, remove and set request and response headers, add a request id and
 * x-forwarded-for, choose between two endpoints by load, keep-alive both ways, one
 * thread.
 */
import { writeFileSync } from 'node:fs'
import { clusters, listener, socketAddress } from './envoy-resources.ts'
import type { Plan } from './plan.ts'

export type Peer = (plan: Plan) => { readonly args: readonly string[] }

export const haproxy: Peer = ({ dir, port, upstreams: [first, second], accessLog }) => {
  const path = `${dir}/haproxy.cfg`
  const log = accessLog
    ? `log stdout format raw local0
  log-format '{"time":"%T","method":"%HM","path":"%HU","status":%ST,"bytes":%B,"ms":%Ta,"backend":"%b","server":"%s","id":"%ID"}'`
    : 'no log'
  writeFileSync(
    path,
    `global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend mesh
  bind 127.0.0.1:${port}
  ${log}
  unique-id-format %[uuid()]
  unique-id-header x-request-id
  option forwardfor
  acl host_reviews hdr(host) -i reviews:9080 reviews.default:9080
  acl path_reviews path_beg /reviews
  acl jason hdr(end-user) -m str jason
  http-request del-header x-remove-me
  http-request set-header x-mesh-tier gold
  http-response set-header x-served-by mesh
  http-response del-header x-powered-by
  use_backend other if host_reviews path_reviews jason
  use_backend reviews if host_reviews path_reviews
  default_backend other
backend reviews
  balance random(2)
  server a 127.0.0.1:${first}
  server b 127.0.0.1:${second}
backend other
  server b 127.0.0.1:${second}
`,
  )
  return { args: ['-f', path, '-db'] }
}

export const nginx: Peer = ({ dir, port, upstreams: [first, second], accessLog }) => {
  const path = `${dir}/nginx.conf`
  writeFileSync(
    path,
    `daemon off;
worker_processes 1;
pid ${dir}/nginx.pid;
error_log ${dir}/nginx-error.log;
events { worker_connections 4096; }
http {
  client_body_temp_path ${dir}/t1; proxy_temp_path ${dir}/t2; fastcgi_temp_path ${dir}/t3; uwsgi_temp_path ${dir}/t4; scgi_temp_path ${dir}/t5;
  log_format mesh escape=json '{"time":"$time_iso8601","method":"$request_method","path":"$request_uri","status":$status,"bytes":$bytes_sent,"ms":$request_time,"upstream":"$upstream_addr","id":"$request_id"}';
  access_log ${accessLog ? `${dir}/nginx-access.log mesh buffer=64k flush=1s` : 'off'};
  keepalive_requests 100000000;
  upstream reviews { random two least_conn; server 127.0.0.1:${first}; server 127.0.0.1:${second}; keepalive 128; keepalive_requests 100000000; }
  upstream other { server 127.0.0.1:${second}; keepalive 128; }
  map $http_end_user $chosen { default reviews; jason other; }
  server {
    listen 127.0.0.1:${port};
    server_name reviews reviews.default;
    location /reviews {
      proxy_pass http://$chosen;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header x-remove-me "";
      proxy_set_header x-mesh-tier gold;
      proxy_set_header x-request-id $request_id;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_hide_header x-powered-by;
      add_header x-served-by mesh;
    }
  }
}
`,
  )
  return { args: ['-c', path, '-p', dir] }
}

export const envoy: Peer = (plan) => {
  const path = `${plan.dir}/envoy.json`
  const bootstrap = {
    admin: { address: socketAddress(0) },
    static_resources: { listeners: [listener(plan)], clusters: clusters(plan) },
  }
  writeFileSync(path, JSON.stringify(bootstrap))
  return {
    args: ['-c', path, '--concurrency', '1', '--log-level', 'error', '--disable-hot-restart'],
  }
}

/** The upstream: two ports that answer 100 bytes. */
export const upstream = (
  dir: string,
  ports: readonly number[],
): { readonly args: readonly string[] } => {
  const path = `${dir}/upstream.conf`
  const listen = ports.map((each) => `listen 127.0.0.1:${each};`).join(' ')
  writeFileSync(
    path,
    `daemon off;
worker_processes 1;
pid ${dir}/upstream.pid;
error_log ${dir}/upstream-error.log;
events { worker_connections 4096; }
http {
  client_body_temp_path ${dir}/u1; proxy_temp_path ${dir}/u2; fastcgi_temp_path ${dir}/u3; uwsgi_temp_path ${dir}/u4; scgi_temp_path ${dir}/u5;
  access_log off;
  keepalive_requests 100000000;
  server { ${listen} location / { default_type application/json; add_header x-powered-by bench; return 200 '${'x'.repeat(100)}'; } }
}
`,
  )
  return { args: ['-c', path, '-p', dir] }
}

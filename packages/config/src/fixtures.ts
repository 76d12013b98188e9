/** For the tests of this package: valid objects, changes to them, and what validation says. */

import assert from 'node:assert/strict'
import { parseDocuments } from './parse.ts'
import type { Problem } from './problem.ts'
import { pathSegments } from './text/places.ts'

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json }

/** The object as JSON, one value a line, so that lines tell places apart. */
export function problemsOf(object: unknown): readonly Problem[] {
  return parseDocuments(JSON.stringify(object, null, 1), { file: 'test.json' }).problems
}

/** `path code` of every error, or of every warning. */
export function findingsOf(object: unknown, severity: 'error' | 'warning'): readonly string[] {
  return problemsOf(object)
    .filter((problem) => problem.severity === severity)
    .map(({ path, code }) => `${path} ${code}`)
}

/** One change to a valid object: where, what (`undefined` removes), and the path that the error must name. */
export type Row = readonly [at: string, value: Json | undefined, names?: string]

/** Every row makes the object invalid, and an error names the field at fault. */
export function refuses(object: Json, rows: readonly Row[]): void {
  for (const [at, value, names = at] of rows) {
    const errors = findingsOf(withValue(object, at, value), 'error')
    const isNamed = errors.some((error) => error.slice(0, error.lastIndexOf(' ')) === names)
    const found = errors.join(', ') || 'no error'
    assert.ok(isNamed, `${at} = ${JSON.stringify(value)}: expected ${names}, got ${found}`)
  }
}

/** Every row leaves the object valid. */
export function accepts(object: Json, rows: readonly Row[]): void {
  for (const [at, value] of rows) {
    const errors = findingsOf(withValue(object, at, value), 'error')
    assert.deepEqual(errors, [], `${at} = ${JSON.stringify(value)}`)
  }
}

/** A copy with the value at `path` replaced, or removed for `undefined`. Missing parents are made. */
export function withValue(object: Json, path: string, value: Json | undefined): Json {
  // By way of JSON, so that no part of the copy is in two places.
  const copy = JSON.parse(JSON.stringify(object)) as Json
  const segments = pathSegments(path)
  let parent = copy as Record<string, Json>
  for (const [index, segment] of segments.entries()) {
    if (index === segments.length - 1) {
      if (value === undefined) delete parent[segment]
      else parent[segment] = value
      break
    }
    const next = segments[index + 1] ?? ''
    parent[segment] ??= /^\d+$/.test(next) ? [] : {}
    parent = parent[segment] as Record<string, Json>
  }
  return copy
}

function istio(kind: string, spec: Json): Json {
  const metadata = { name: 'test', namespace: 'default' }
  return { apiVersion: 'networking.istio.io/v1', kind, metadata, spec }
}

const DESTINATION = { destination: { host: 'reviews', subset: 'v1', port: { number: 9080 } } }

export const VALID = {
  virtualService: istio('VirtualService', {
    hosts: ['reviews', '*.example.com'],
    http: [
      {
        name: 'jason',
        match: [
          {
            uri: { prefix: '/reviews' },
            method: { exact: 'GET' },
            headers: {
              'end-user': { exact: 'jason' },
              cookie: { regex: '^(.*?;)?(user=jason)(;.*)?$' },
            },
            withoutHeaders: { 'x-debug': {} },
            queryParams: { q: { prefix: 'a' } },
            port: 9080,
            sourceLabels: { app: 'productpage' },
            sourceNamespace: 'default',
            gateways: ['mesh'],
          },
        ],
        route: [
          {
            ...DESTINATION,
            weight: 90,
            headers: { request: { set: { 'x-version': '%HOSTNAME% v1' } } },
          },
          { destination: { host: 'reviews', subset: 'v2' }, weight: 10 },
        ],
        rewrite: { uri: '/', authority: 'reviews.internal' },
        timeout: '10s',
        retries: { attempts: 3, perTryTimeout: '2s', retryOn: '5xx,reset,503', backoff: '25ms' },
        fault: {
          delay: { percentage: { value: 0.1 }, fixedDelay: '5s' },
          abort: { percentage: { value: 10 }, httpStatus: 500 },
        },
        mirrors: [{ destination: { host: 'reviews', subset: 'v3' }, percentage: { value: 50 } }],
        corsPolicy: {
          allowOrigins: [{ exact: 'https://example.com' }],
          allowMethods: ['GET'],
          allowHeaders: ['x-a'],
          maxAge: '24h',
          allowCredentials: true,
        },
        headers: { response: { remove: ['server'], add: { 'x-a': '100%%' } } },
      },
      { redirect: { uri: '/new', redirectCode: 308 }, match: [{ uri: { exact: '/old' } }] },
      { directResponse: { status: 503, body: { string: 'closed' } } },
    ],
    tcp: [{ match: [{ port: 3306, destinationSubnets: ['10.0.0.0/8'] }], route: [DESTINATION] }],
    exportTo: ['.'],
  }),
  destinationRule: istio('DestinationRule', {
    host: 'reviews.default.svc.cluster.local',
    trafficPolicy: {
      loadBalancer: { simple: 'LEAST_REQUEST' },
      connectionPool: {
        tcp: { maxConnections: 100, connectTimeout: '30ms', idleTimeout: '0s' },
        http: {
          http1MaxPendingRequests: 1,
          http2MaxRequests: 1000,
          maxRetries: 3,
          idleTimeout: '5s',
        },
      },
      outlierDetection: { consecutive5xxErrors: 7, interval: '5m', baseEjectionTime: '15m' },
      portLevelSettings: [
        {
          port: { number: 80 },
          loadBalancer: { consistentHash: { httpCookie: { name: 'user', ttl: '0s' } } },
        },
      ],
    },
    subsets: [
      { name: 'v1', labels: { version: 'v1' } },
      {
        name: 'v2',
        labels: { version: 'v2' },
        trafficPolicy: { loadBalancer: { simple: 'RANDOM' } },
      },
    ],
  }),
  istioGateway: istio('Gateway', {
    selector: { istio: 'ingressgateway' },
    servers: [
      {
        port: { number: 80, name: 'http', protocol: 'HTTP' },
        hosts: ['bookinfo.example.com', 'default/*.example.org'],
        tls: { httpsRedirect: true },
      },
      {
        port: { number: 443, name: 'https', protocol: 'HTTPS' },
        hosts: ['*'],
        tls: { mode: 'SIMPLE', credentialName: 'cert', minProtocolVersion: 'TLSV1_2' },
      },
    ],
  }),
  serviceEntry: istio('ServiceEntry', {
    hosts: ['db.example.com'],
    addresses: ['10.1.0.1', '2001:db8::/32'],
    ports: [{ number: 3306, name: 'mysql', protocol: 'TCP', targetPort: 13306 }],
    location: 'MESH_INTERNAL',
    resolution: 'STATIC',
    endpoints: [
      { address: '10.2.0.1', ports: { mysql: 23306 }, labels: { app: 'db' }, weight: 1 },
      { address: '2001:db8::1', locality: 'us-east/a/b' },
    ],
  }),
  workloadEntry: istio('WorkloadEntry', {
    address: 'vm1.example.com',
    ports: { http: 8080 },
    labels: { app: 'ratings', version: 'v1' },
    serviceAccount: 'ratings',
  }),
  httpRoute: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      parentRefs: [{ name: 'gateway', sectionName: 'http' }],
      hostnames: ['*.example.com'],
      rules: [
        {
          name: 'first',
          matches: [
            {
              path: { type: 'PathPrefix', value: '/v1' },
              headers: [{ name: 'x-version', value: 'one' }],
              queryParams: [{ type: 'RegularExpression', name: 'q', value: 'a+' }],
              method: 'GET',
            },
          ],
          filters: [
            {
              type: 'RequestHeaderModifier',
              requestHeaderModifier: { set: [{ name: 'x-a', value: 'b' }], remove: ['x-c'] },
            },
            {
              type: 'URLRewrite',
              urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } },
            },
          ],
          backendRefs: [{ name: 'reviews', port: 9080, weight: 90 }],
          timeouts: { request: '10s', backendRequest: '2s' },
        },
      ],
    },
  },
  grpcRoute: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      parentRefs: [{ name: 'gateway' }],
      hostnames: ['grpc.example.com'],
      rules: [
        {
          matches: [
            { method: { service: 'shop.v1.Orders', method: 'Place' } },
            {
              method: { type: 'RegularExpression', service: 'shop.v[0-9]+.*' },
              headers: [{ name: 'x-version', value: 'one' }],
            },
          ],
          filters: [
            {
              type: 'RequestHeaderModifier',
              requestHeaderModifier: { add: [{ name: 'x-a', value: 'b' }] },
            },
          ],
          backendRefs: [{ name: 'orders', port: 9000, weight: 1 }],
        },
      ],
    },
  },
  tlsRoute: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'TLSRoute',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      parentRefs: [{ name: 'gateway' }],
      hostnames: ['db.example.com'],
      rules: [{ backendRefs: [{ name: 'db', port: 5432 }] }],
    },
  },
  tcpRoute: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'TCPRoute',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      parentRefs: [{ name: 'gateway', sectionName: 'tcp' }],
      rules: [{ backendRefs: [{ name: 'db', port: 5432 }] }],
    },
  },
  listenerSet: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'ListenerSet',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      parentRef: { name: 'gateway' },
      listeners: [{ name: 'http', port: 8080, protocol: 'HTTP', hostname: 'a.example.com' }],
    },
  },
  backendTlsPolicy: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'BackendTLSPolicy',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: 'db', sectionName: 'tls' }],
      validation: {
        caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }],
        hostname: 'db.example.com',
        subjectAltNames: [
          { type: 'Hostname', hostname: '*.example.com' },
          { type: 'URI', uri: 'spiffe://cluster.local/ns/default/sa/db' },
        ],
      },
    },
  },
  backendTrafficPolicy: {
    apiVersion: 'gateway.networking.x-k8s.io/v1alpha1',
    kind: 'XBackendTrafficPolicy',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
      retryConstraint: {
        budget: { percent: 30, interval: '20s' },
        minRetryRate: { count: 5, interval: '1s' },
      },
      sessionPersistence: { type: 'Cookie', sessionName: 'sticky' },
    },
  },
  kubernetesGateway: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      gatewayClassName: 'weft',
      listeners: [
        { name: 'http', port: 80, protocol: 'HTTP', hostname: '*.example.com' },
        {
          name: 'https',
          port: 443,
          protocol: 'HTTPS',
          tls: { certificateRefs: [{ name: 'cert' }] },
          allowedRoutes: { namespaces: { from: 'All' } },
        },
      ],
      addresses: [{ value: '10.0.0.1' }],
    },
  },
  referenceGrant: {
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'web' }],
      to: [{ group: '', kind: 'Service' }],
    },
  },
  peerAuthentication: {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      mtls: { mode: 'STRICT' },
      portLevelMtls: { 9080: { mode: 'PERMISSIVE' }, 8080: { mode: 'UNSET' } },
    },
  },
  requestAuthentication: {
    apiVersion: 'security.istio.io/v1',
    kind: 'RequestAuthentication',
    metadata: { name: 'test', namespace: 'default' },
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      jwtRules: [
        {
          issuer: 'https://issuer.example',
          audiences: ['reviews'],
          jwksUri: 'https://issuer.example/keys',
          fromHeaders: [{ name: 'x-token', prefix: 'Token ' }],
          fromParams: ['token'],
          fromCookies: ['session'],
          outputPayloadToHeader: 'x-payload',
          outputClaimToHeaders: [{ header: 'x-sub', claim: 'sub' }],
          forwardOriginalToken: true,
          timeout: '2s',
          spaceDelimitedClaims: ['roles'],
          presence: 'REQUIRED',
        },
      ],
    },
  },
  authorizationPolicy: {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: {
      name: 'test',
      namespace: 'default',
      annotations: { 'istio.io/dry-run': 'false' },
    },
    spec: {
      selector: { matchLabels: { app: 'reviews' } },
      action: 'ALLOW',
      rules: [
        {
          from: [
            {
              source: {
                principals: ['cluster.local/ns/default/sa/productpage', '*/sa/web'],
                notPrincipals: ['*/sa/bad'],
                namespaces: ['prod-*'],
                trustDomains: ['cluster.local'],
                ipBlocks: ['10.0.0.0/8', '2001:db8::1'],
                notRemoteIpBlocks: ['192.0.2.1'],
                requestPrincipals: ['https://issuer.example/*'],
              },
            },
            { source: { serviceAccounts: ['default/ratings', 'details'] } },
          ],
          to: [
            {
              operation: {
                hosts: ['*.example.com'],
                ports: ['9080'],
                methods: ['GET', '*'],
                paths: ['/reviews/*', '/files/{*}/{**}', '*.html', '/a'],
                notPaths: ['/admin'],
              },
            },
          ],
          when: [
            { key: 'request.headers[x-version]', values: ['v1', 'v2*'] },
            { key: 'request.auth.claims[groups][admin]', notValues: ['no'] },
            { key: 'source.ip', values: ['10.0.0.0/16'] },
            { key: 'destination.port', notValues: ['15020'] },
            { key: 'connection.sni', values: ['www.example.com'] },
            { key: 'experimental.envoy.filters.network.mysql_proxy[db.table]', values: ['[a]'] },
          ],
        },
      ],
    },
  },
  gatewayClass: {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name: 'weft' },
    spec: { controllerName: 'weft.io/gateway-controller' },
  },
  service: {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'reviews', namespace: 'default', labels: { app: 'reviews' } },
    spec: {
      selector: { app: 'reviews' },
      ports: [
        { name: 'http', port: 9080, targetPort: 'http', appProtocol: 'http' },
        { name: 'grpc', port: 9081, targetPort: 9081 },
      ],
    },
  },
  endpointSlice: {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'reviews-abc',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'reviews' },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 9080 }],
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true }, zone: 'a' }],
  },
  endpoints: {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'reviews', namespace: 'default' },
    subsets: [{ addresses: [{ ip: '10.0.0.1' }], ports: [{ name: 'http', port: 9080 }] }],
  },
  pod: {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'reviews-v1', namespace: 'default', labels: { app: 'reviews' } },
    spec: {
      serviceAccountName: 'reviews',
      containers: [{ name: 'app', image: 'x', ports: [{ containerPort: 9080 }], env: [] }],
      volumes: [],
    },
    status: { podIP: '10.0.0.1', phase: 'Running', conditions: [] },
  },
  namespace: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } },
  secret: {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'cert', namespace: 'default' },
    type: 'kubernetes.io/tls',
    data: { 'tls.crt': 'YWJj', 'tls.key': 'YWJjZA==' },
  },
  configMap: {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'settings', namespace: 'default' },
    data: { mesh: 'accessLogFile: /dev/stdout' },
  },
} as const satisfies Record<string, Json>

/** Random objects of Gateway API. */
import fc from 'fast-check'
import {
  all,
  gatewayApi,
  type Json,
  list,
  maybe,
  name,
  namespace,
  object,
  outside,
  pick,
  plain,
  portNumber,
  some,
} from './random-words.ts'

const backendRefs = list(
  all({ name, port: portNumber, weight: pick(0, 1, 3), namespace: maybe(namespace) }),
  0,
  2,
)
const parentRefs = list(
  fc.oneof(
    all({ name, sectionName: maybe(pick('l0', 'l1', 'l2')) }),
    all({ group: pick(''), kind: pick('Service'), name, port: maybe(portNumber) }),
  ),
  1,
)
export const kubernetesGateway = gatewayApi(
  'Gateway',
  all({
    gatewayClassName: pick('weft'),
    listeners: fc
      .array(
        fc.oneof(
          fc.tuple(portNumber, pick('HTTP', 'TCP'), fc.constant(undefined)),
          fc.tuple(
            pick(8443),
            pick('HTTPS', 'TLS'),
            pick<Json>(
              { certificateRefs: [{ name: 'cert' }] },
              { mode: 'Passthrough' },
              { mode: 'Terminate', certificateRefs: [{ name: 'gone' }] },
            ),
          ),
        ),
        { minLength: 1, maxLength: 3 },
      )
      .chain((found) =>
        fc.tuple(
          ...found.map(([port, protocol, tls], i) =>
            fc
              .record({
                hostname: fc.option(outside, { nil: undefined }),
                from: pick('All', 'Same'),
              })
              .map(({ hostname, from }) =>
                plain({
                  name: `l${i}`,
                  port,
                  protocol,
                  tls,
                  ...(protocol === 'TCP' ? {} : { hostname }),
                  allowedRoutes: { namespaces: { from } },
                }),
              ),
          ),
        ),
      ),
  }),
)
export const httpRoute = gatewayApi(
  'HTTPRoute',
  all({
    parentRefs,
    hostnames: maybe(list(outside, 1)),
    rules: list(
      some({
        matches: list(
          some({
            path: pick<Json>(
              { type: 'PathPrefix', value: '/p' },
              { type: 'Exact', value: '/x' },
              { type: 'RegularExpression', value: '/r.*' },
            ),
            method: pick('GET', 'POST'),
            headers: pick<Json>([{ name: 'x-a', value: '1' }]),
            queryParams: pick<Json>([{ name: 'q', value: '1' }]),
          }),
          1,
        ),
        filters: pick<Json>(
          [
            {
              type: 'RequestHeaderModifier',
              requestHeaderModifier: { add: [{ name: 'x', value: 'y' }] },
            },
          ],
          [
            {
              type: 'RequestMirror',
              requestMirror: { backendRef: { name: 'b', port: 80 }, percent: 5 },
            },
          ],
          [{ type: 'URLRewrite', urlRewrite: { hostname: 'new.example.com' } }],
          [{ type: 'CORS', cors: { allowOrigins: ['https://x.com'], allowMethods: ['GET'] } }],
        ),
        backendRefs,
        timeouts: pick<Json>({ request: '10s', backendRequest: '2s' }),
        retry: pick<Json>({ codes: [503], attempts: 2, backoff: '50ms' }),
        sessionPersistence: pick<Json>({ sessionName: 's' }, { type: 'Header' }),
      }),
      1,
    ),
  }),
)
export const grpcRoute = gatewayApi(
  'GRPCRoute',
  all({
    parentRefs,
    hostnames: maybe(list(outside, 1)),
    rules: list(
      all({
        matches: maybe(
          pick<Json>(
            [{ method: { service: 'shop.v1.Orders', method: 'Place' } }],
            [{ method: { type: 'RegularExpression', service: 'shop.*' } }],
          ),
        ),
        backendRefs,
      }),
      1,
    ),
  }),
)
export const tlsRoute = gatewayApi(
  'TLSRoute',
  all({ parentRefs, hostnames: list(outside, 1), rules: all({ backendRefs }).map((one) => [one]) }),
)
export const tcpRoute = gatewayApi(
  'TCPRoute',
  all({ parentRefs, rules: all({ backendRefs }).map((one) => [one]) }),
)
export const backendTraffic = object(
  'gateway.networking.x-k8s.io/v1alpha1',
  'XBackendTrafficPolicy',
  all({
    targetRefs: name.map((one): Json => [{ group: '', kind: 'Service', name: one }]),
    retryConstraint: maybe(pick<Json>({ budget: { percent: 30 } })),
    sessionPersistence: maybe(pick<Json>({ sessionName: 'sticky' })),
  }),
)
export const backendTls = gatewayApi(
  'BackendTLSPolicy',
  all({
    targetRefs: name.map((one): Json => [{ group: '', kind: 'Service', name: one }]),
    validation: pick<Json>({ hostname: 'api.example.com', wellKnownCACertificates: 'System' }),
  }),
)

/**
 * `VirtualService` (networking.istio.io v1, v1beta1, v1alpha3): how requests for
 * some hosts are matched, changed and sent on. First match wins, in the order
 * written. Checks beyond the schema are in `rules/virtual-service.ts`.
 */

import {
  atMostOne,
  boolean,
  type Infer,
  integer,
  list,
  map,
  object,
  oneOfValues,
  required,
  string,
} from '../schema/schema.ts'
import { labels, percent, positiveDuration } from './istio-common.ts'

const stringMatch = object(
  { exact: string(), prefix: string(), regex: string() },
  { oneOf: [atMostOne('exact', 'prefix', 'regex')] },
)

export const destination = object({
  host: required(string()),
  subset: string(),
  port: object({ number: integer({ min: 0, max: 4294967295 }) }),
})

const headerOperations = object({
  set: map(string()),
  add: map(string()),
  remove: list(string()),
})

const headers = object({ request: headerOperations, response: headerOperations })

const routeDestination = object({
  destination: required(destination),
  weight: integer(),
  headers,
})

/** Destinations of `tls` and `tcp` routes: no headers there. */
const tcpRouteDestination = object({
  destination: required(destination),
  weight: integer(),
})

const httpMatch = object({
  name: string(),
  uri: stringMatch,
  scheme: stringMatch,
  method: stringMatch,
  authority: stringMatch,
  headers: map(stringMatch),
  port: integer({ min: 0, max: 4294967295 }),
  sourceLabels: labels(),
  gateways: list(string()),
  queryParams: map(stringMatch),
  ignoreUriCase: boolean(),
  withoutHeaders: map(stringMatch),
  sourceNamespace: string(),
  statPrefix: string(),
})

const redirect = object(
  {
    uri: string(),
    prefixRewrite: string(),
    authority: string(),
    port: integer({ min: 0, max: 4294967295 }),
    derivePort: oneOfValues('FROM_PROTOCOL_DEFAULT', 'FROM_REQUEST_PORT'),
    scheme: string(),
    redirectCode: integer({ min: 0, max: 4294967295 }),
  },
  { oneOf: [atMostOne('port', 'derivePort')] },
)

const directResponse = object({
  status: required(integer({ min: 0, max: 4294967295 })),
  body: object(
    { string: string(), bytes: string({ format: 'base64' }) },
    { oneOf: [atMostOne('string', 'bytes')] },
  ),
})

const rewrite = object({
  uri: string(),
  authority: string(),
  uriRegexRewrite: object({ match: string(), rewrite: string() }),
})

const retries = object({
  attempts: integer(),
  perTryTimeout: positiveDuration(),
  retryOn: string(),
  retryRemoteLocalities: boolean(),
  retryIgnorePreviousHosts: boolean(),
  backoff: positiveDuration(),
})

const fault = object({
  delay: object(
    {
      percent: integer(),
      percentage: percent(),
      fixedDelay: positiveDuration(),
      exponentialDelay: positiveDuration(),
    },
    { oneOf: [atMostOne('fixedDelay', 'exponentialDelay')] },
  ),
  abort: object(
    {
      percentage: percent(),
      httpStatus: integer(),
      grpcStatus: string(),
      http2Error: string(),
    },
    { oneOf: [atMostOne('httpStatus', 'grpcStatus', 'http2Error')] },
  ),
})

const corsPolicy = object({
  allowOrigin: list(string()),
  allowOrigins: list(stringMatch),
  allowMethods: list(string()),
  allowHeaders: list(string()),
  exposeHeaders: list(string()),
  maxAge: positiveDuration(),
  allowCredentials: boolean(),
  unmatchedPreflights: oneOfValues('UNSPECIFIED', 'FORWARD', 'IGNORE'),
})

const httpRoute = object({
  name: string(),
  match: list(httpMatch),
  route: list(routeDestination),
  redirect,
  directResponse,
  delegate: object({ name: string(), namespace: string() }),
  rewrite,
  timeout: positiveDuration(),
  retries,
  fault,
  mirror: destination,
  mirrors: list(object({ destination: required(destination), percentage: percent() })),
  mirrorPercent: integer({ min: 0, max: 4294967295 }),
  mirror_percent: integer({ min: 0, max: 4294967295 }),
  mirrorPercentage: percent(),
  corsPolicy,
  headers,
})

const tlsMatch = object({
  sniHosts: required(list(string())),
  destinationSubnets: list(string()),
  port: integer({ min: 0, max: 4294967295 }),
  sourceLabels: labels(),
  gateways: list(string()),
  sourceNamespace: string(),
})

const tlsRoute = object({
  match: required(list(tlsMatch)),
  route: list(tcpRouteDestination),
})

const tcpMatch = object({
  destinationSubnets: list(string()),
  port: integer({ min: 0, max: 4294967295 }),
  sourceSubnet: string(),
  sourceLabels: labels(),
  gateways: list(string()),
  sourceNamespace: string(),
})

const tcpRoute = object({
  match: list(tcpMatch),
  route: list(tcpRouteDestination),
})

export const virtualService = object({
  hosts: list(string()),
  gateways: list(string()),
  http: list(httpRoute),
  tls: list(tlsRoute),
  tcp: list(tcpRoute),
  exportTo: list(string()),
})

export type VirtualService = Infer<typeof virtualService>
export type StringMatch = Infer<typeof stringMatch>
export type Destination = Infer<typeof destination>
export type RouteDestination = Infer<typeof routeDestination>
export type HttpRouteRule = Infer<typeof httpRoute>
export type HttpMatch = Infer<typeof httpMatch>
export type HeaderOperations = Infer<typeof headerOperations>
export type TlsRouteRule = Infer<typeof tlsRoute>
export type TcpRouteRule = Infer<typeof tcpRoute>

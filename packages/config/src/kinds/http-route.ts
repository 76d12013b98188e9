/**
 * `HTTPRoute` of gateway.networking.k8s.io (v1, v1beta1), both channels: how
 * requests that reach a Gateway, or go to a Service (GAMMA), are matched,
 * changed and sent on.
 */

import {
  boolean,
  defaulted,
  type Infer,
  integer,
  list,
  object,
  oneOfValues,
  required,
  string,
} from '../schema/schema.ts'

const group = string({ maxLength: 253 })
const kind = string({ minLength: 1, maxLength: 63 })
const objectName = string({ minLength: 1, maxLength: 253 })
const namespace = string({ minLength: 1, maxLength: 63 })
const sectionName = string({ minLength: 1, maxLength: 253 })
const hostname = string({ minLength: 1, maxLength: 253 })
const port = integer({ min: 1, max: 65535 })
const duration = string({ format: 'duration' })

const parentRef = object({
  group: defaulted(group, 'gateway.networking.k8s.io'),
  kind: defaulted(kind, 'Gateway'),
  namespace,
  name: required(objectName),
  sectionName,
  port,
})

const header = object({
  name: required(string({ minLength: 1, maxLength: 256 })),
  value: required(string({ minLength: 1, maxLength: 4096 })),
})

const headerModifier = object({
  set: list(header, { maxItems: 16, keys: ['name'] }),
  add: list(header, { maxItems: 16, keys: ['name'] }),
  remove: list(string(), { maxItems: 16, isSet: true }),
})

const backendFields = {
  group: defaulted(group, ''),
  kind: defaulted(kind, 'Service'),
  name: required(objectName),
  namespace,
  port,
} as const

const backendObjectRef = object(backendFields)

const pathModifier = object({
  type: required(oneOfValues('ReplaceFullPath', 'ReplacePrefixMatch')),
  replaceFullPath: string({ maxLength: 1024 }),
  replacePrefixMatch: string({ maxLength: 1024 }),
})

const filter = object({
  type: required(
    oneOfValues(
      'RequestHeaderModifier',
      'ResponseHeaderModifier',
      'RequestMirror',
      'RequestRedirect',
      'URLRewrite',
      'ExtensionRef',
      'CORS',
      'ExternalAuth',
    ),
  ),
  requestHeaderModifier: headerModifier,
  responseHeaderModifier: headerModifier,
  requestMirror: object({
    backendRef: required(backendObjectRef),
    percent: integer({ min: 0, max: 100 }),
    fraction: object({
      numerator: required(integer({ min: 0 })),
      denominator: defaulted(integer({ min: 1 }), 100),
    }),
  }),
  requestRedirect: object({
    scheme: oneOfValues('http', 'https'),
    hostname,
    path: pathModifier,
    port,
    statusCode: defaulted(integer(), 302),
  }),
  urlRewrite: object({ hostname, path: pathModifier }),
  cors: object({
    allowOrigins: list(string({ minLength: 1, maxLength: 253 }), { maxItems: 64, isSet: true }),
    allowCredentials: boolean(),
    allowMethods: list(string(), { maxItems: 9, isSet: true }),
    allowHeaders: list(string({ minLength: 1, maxLength: 256 }), { maxItems: 64, isSet: true }),
    exposeHeaders: list(string({ minLength: 1, maxLength: 256 }), { maxItems: 64, isSet: true }),
    maxAge: defaulted(integer({ min: 1 }), 5),
  }),
  externalAuth: object({
    protocol: required(oneOfValues('HTTP', 'GRPC')),
    backendRef: required(backendObjectRef),
    grpc: object({ allowedHeaders: list(string(), { maxItems: 64, isSet: true }) }),
    http: object({
      path: string(),
      allowedHeaders: list(string(), { maxItems: 64, isSet: true }),
      allowedResponseHeaders: list(string(), { maxItems: 64, isSet: true }),
    }),
    forwardBody: object({ maxSize: integer({ min: 0 }) }),
  }),
  extensionRef: object({
    group: required(group),
    kind: required(kind),
    name: required(objectName),
  }),
})

const backendRef = object({
  ...backendFields,
  weight: defaulted(integer({ min: 0, max: 1_000_000 }), 1),
  filters: list(filter, { maxItems: 16 }),
})

const match = object({
  path: defaulted(
    object({
      type: defaulted(oneOfValues('Exact', 'PathPrefix', 'RegularExpression'), 'PathPrefix'),
      value: defaulted(string({ maxLength: 1024 }), '/'),
    }),
    { type: 'PathPrefix', value: '/' },
  ),
  headers: list(
    object({
      type: defaulted(oneOfValues('Exact', 'RegularExpression'), 'Exact'),
      name: required(string({ minLength: 1, maxLength: 256 })),
      value: required(string({ minLength: 1, maxLength: 4096 })),
    }),
    { maxItems: 16, keys: ['name'] },
  ),
  queryParams: list(
    object({
      type: defaulted(oneOfValues('Exact', 'RegularExpression'), 'Exact'),
      name: required(string({ minLength: 1, maxLength: 256 })),
      value: required(string({ minLength: 1, maxLength: 1024 })),
    }),
    { maxItems: 16, keys: ['name'] },
  ),
  method: oneOfValues(
    'GET',
    'HEAD',
    'POST',
    'PUT',
    'DELETE',
    'CONNECT',
    'OPTIONS',
    'TRACE',
    'PATCH',
  ),
})

const sessionPersistence = object({
  sessionName: string({ maxLength: 128 }),
  absoluteTimeout: duration,
  idleTimeout: duration,
  type: defaulted(oneOfValues('Cookie', 'Header'), 'Cookie'),
  cookieConfig: object({
    lifetimeType: defaulted(oneOfValues('Permanent', 'Session'), 'Session'),
  }),
})

const rule = object({
  name: sectionName,
  matches: defaulted(list(match, { maxItems: 64 }), [{ path: { type: 'PathPrefix', value: '/' } }]),
  filters: list(filter, { maxItems: 16 }),
  backendRefs: list(backendRef, { maxItems: 16 }),
  timeouts: object({ request: duration, backendRequest: duration }),
  retry: object({
    codes: list(integer({ min: 400, max: 599 })),
    attempts: integer(),
    backoff: duration,
  }),
  sessionPersistence,
})

export const httpRoute = object({
  parentRefs: list(parentRef, { maxItems: 32 }),
  hostnames: list(hostname, { maxItems: 16 }),
  rules: defaulted(list(rule, { minItems: 1, maxItems: 16 }), [
    { matches: [{ path: { type: 'PathPrefix', value: '/' } }] },
  ]),
  useDefaultGateways: oneOfValues('All', 'None'),
})

export type HttpRoute = Infer<typeof httpRoute>
export type ParentRef = Infer<typeof parentRef>
export type HttpRouteRuleSpec = Infer<typeof rule>
export type HttpRouteMatch = Infer<typeof match>
export type HttpRouteFilter = Infer<typeof filter>
export type HttpBackendRef = Infer<typeof backendRef>

/** Filters of an `HTTPRoute`: what happens to a request besides being sent on. */

import {
  atMostOne,
  boolean,
  type CelRule,
  defaulted,
  type Infer,
  integer,
  list,
  object,
  oneOfValues,
  required,
  string,
  withRules,
} from '../schema/schema.ts'
import {
  backendObjectRef,
  group,
  headerName,
  headerValue,
  kind,
  objectName,
  portNumber,
  preciseHostname,
} from './gateway-api-common.ts'

const header = object({ name: required(headerName), value: required(headerValue) })

export const headerModifier = object({
  set: list(header, { maxItems: 16, keys: ['name'] }),
  add: list(header, { maxItems: 16, keys: ['name'] }),
  remove: list(string(), { maxItems: 16, isSet: true }),
})

/** `type` names the field that must be set, and only that one. */
export function matchesType(type: string, field: string): readonly CelRule[] {
  return [
    {
      cel: `self.type == '${type}' ? has(self.${field}) : true`,
      message: `is required for type ${type}`,
      field,
    },
    {
      cel: `has(self.${field}) ? self.type == '${type}' : true`,
      message: `belongs to type ${type}; remove it or set that type`,
      field,
    },
  ]
}

const pathModifier = withRules(
  object({
    type: required(oneOfValues('ReplaceFullPath', 'ReplacePrefixMatch')),
    replaceFullPath: string({ maxLength: 1024 }),
    replacePrefixMatch: string({ maxLength: 1024 }),
  }),
  ...matchesType('ReplaceFullPath', 'replaceFullPath'),
  ...matchesType('ReplacePrefixMatch', 'replacePrefixMatch'),
)

export const requestMirror = object(
  {
    backendRef: required(backendObjectRef),
    percent: integer({ min: 0, max: 100 }),
    fraction: withRules(
      object({
        numerator: required(integer({ min: 0, max: 2147483647 })),
        denominator: defaulted(integer({ min: 1, max: 2147483647 }), 100),
      }),
      {
        cel: 'self.numerator <= self.denominator',
        message: 'must not be greater than the denominator',
        field: 'numerator',
      },
    ),
  },
  { oneOf: [atMostOne('percent', 'fraction')] },
)

function starAlone(what: string): CelRule {
  return {
    cel: "!('*' in self && self.size() > 1)",
    message: `"*" stands for every ${what}; remove the others or the "*"`,
  }
}

const cors = object({
  allowOrigins: withRules(
    list(
      string({
        minLength: 1,
        maxLength: 253,
        pattern:
          /(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)/,
        patternHint: 'must be "*", or http:// or https:// with a host that may begin with "*."',
      }),
      { maxItems: 64, isSet: true },
    ),
    starAlone('origin'),
  ),
  allowCredentials: boolean(),
  allowMethods: withRules(
    list(
      oneOfValues(
        'GET',
        'HEAD',
        'POST',
        'PUT',
        'DELETE',
        'CONNECT',
        'OPTIONS',
        'TRACE',
        'PATCH',
        '*',
      ),
      { maxItems: 9, isSet: true },
    ),
    starAlone('method'),
  ),
  allowHeaders: withRules(list(headerName, { maxItems: 64, isSet: true }), starAlone('header')),
  exposeHeaders: list(headerName, { maxItems: 64, isSet: true }),
  maxAge: defaulted(integer({ min: 1, max: 2147483647 }), 5),
})

const externalAuth = withRules(
  object({
    protocol: required(oneOfValues('HTTP', 'GRPC')),
    backendRef: required(backendObjectRef),
    grpc: object({ allowedHeaders: list(string(), { maxItems: 64, isSet: true }) }),
    http: object({
      path: string({
        maxLength: 1024,
        pattern: /^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$/,
        patternHint: 'must be a path',
      }),
      allowedHeaders: list(string(), { maxItems: 64, isSet: true }),
      allowedResponseHeaders: list(string(), { maxItems: 64, isSet: true }),
    }),
    forwardBody: object({ maxSize: integer({ min: 0, max: 2147483647 }) }),
  }),
  {
    cel: "self.protocol == 'GRPC' ? has(self.grpc) : true",
    message: 'is required for protocol GRPC',
    field: 'grpc',
  },
  {
    cel: "has(self.grpc) ? self.protocol == 'GRPC' : true",
    message: 'belongs to protocol GRPC',
    field: 'grpc',
  },
  {
    cel: "self.protocol == 'HTTP' ? has(self.http) : true",
    message: 'is required for protocol HTTP',
    field: 'http',
  },
  {
    cel: "has(self.http) ? self.protocol == 'HTTP' : true",
    message: 'belongs to protocol HTTP',
    field: 'http',
  },
)

const filter = withRules(
  object({
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
    requestMirror,
    requestRedirect: object({
      scheme: oneOfValues('http', 'https'),
      hostname: preciseHostname,
      path: pathModifier,
      port: portNumber,
      statusCode: defaulted(integer({ values: [301, 302, 303, 307, 308] }), 302),
    }),
    urlRewrite: object({ hostname: preciseHostname, path: pathModifier }),
    cors,
    externalAuth,
    extensionRef: object({
      group: required(group),
      kind: required(kind),
      name: required(objectName),
    }),
  }),
  ...matchesType('RequestHeaderModifier', 'requestHeaderModifier'),
  ...matchesType('ResponseHeaderModifier', 'responseHeaderModifier'),
  ...matchesType('RequestMirror', 'requestMirror'),
  ...matchesType('RequestRedirect', 'requestRedirect'),
  ...matchesType('URLRewrite', 'urlRewrite'),
  ...matchesType('CORS', 'cors'),
  ...matchesType('ExternalAuth', 'externalAuth'),
  ...matchesType('ExtensionRef', 'extensionRef'),
)

export function once(type: string): CelRule {
  return {
    cel: `self.filter(f, f.type == '${type}').size() <= 1`,
    message: `filter ${type} may appear once; merge them`,
  }
}

export const filters = withRules(
  list(filter, { maxItems: 16 }),
  {
    cel: "!(self.exists(f, f.type == 'RequestRedirect') && self.exists(f, f.type == 'URLRewrite'))",
    message: 'RequestRedirect and URLRewrite exclude each other; remove one',
  },
  once('CORS'),
  once('RequestHeaderModifier'),
  once('ResponseHeaderModifier'),
  once('RequestRedirect'),
  once('URLRewrite'),
)

export type HttpRouteFilter = Infer<typeof filter>

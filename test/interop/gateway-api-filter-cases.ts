/** HTTPRoute cases: what filters, timeouts and retries do to requests and answers. */
import { type Case, GATEWAY, httpRoute, type Row, to } from './gateway-api-cases.ts'

const filters = (text: string, backend = to('v1')) =>
  GATEWAY + httpRoute('r', `  rules: [{filters: [${text}], ${backend}}]`)

export const filterCases: readonly Case[] = [
  {
    name: 'request headers: set, add, remove, names in any case, lists joined',
    yaml: filters(
      '{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}, {name: Host, value: rewritten.example}], add: [{name: X-Add, value: more}], remove: [x-REMOVE]}}',
    ),
    rows: [
      [
        { headers: { 'x-set': 'old', 'x-add': 'some', 'X-Remove': 'gone', 'x-keep': 'k' } },
        {
          request: {
            'x-set': 'new',
            'x-add': 'some, more',
            'x-remove': undefined,
            'x-keep': 'k',
          },
        },
      ],
      [{}, { request: { 'x-set': 'new', 'x-add': 'more' } }],
    ],
  },
  {
    name: 'response headers of the rule and of the backend',
    yaml: filters(
      '{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-set, value: r}], remove: [x-backend-gone]}}',
      to(
        'v1',
        ', filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: x-of-backend, value: b}]}}, {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-for-backend, value: c}]}}]',
      ),
    ),
    rows: [
      [
        {},
        {
          response: { 'x-set': 'r', 'x-of-backend': 'b', 'x-backend-gone': undefined },
          request: { 'x-for-backend': 'c' },
        },
      ],
    ],
  },
  {
    name: 'redirects: scheme, host, port, path and status',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
${[
  ['host', '{hostname: example.org}'],
  ['status', '{hostname: example.org, statusCode: 301}'],
  ['s303', '{hostname: example.org, statusCode: 303}'],
  ['s307', '{hostname: example.org, statusCode: 307}'],
  ['s308', '{hostname: example.org, statusCode: 308}'],
  ['scheme', '{scheme: https}'],
  ['port', '{port: 8083}'],
  ['both', '{scheme: https, port: 8443, hostname: example.org}'],
  ['https443', '{scheme: https, port: 443}'],
  ['http80', '{scheme: http, port: 80}'],
  ['full', '{path: {type: ReplaceFullPath, replaceFullPath: /full-path}}'],
  ['prefix/long', '{path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}'],
  ['cut', '{path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}'],
]
  .map(
    ([path, redirect]) =>
      `  - {matches: [{path: {value: /${path}}}], filters: [{type: RequestRedirect, requestRedirect: ${redirect}}]}`,
  )
  .join('\n')}`,
      ),
    rows: [
      [
        { host: 'a.com', path: '/host/x?y=1' },
        { status: 302, response: { location: 'http://example.org:$P1/host/x?y=1' } },
      ],
      [{ host: 'a.com', path: '/status' }, { status: 301 }],
      [{ host: 'a.com', path: '/s303' }, { status: 303 }],
      [{ host: 'a.com', path: '/s307' }, { status: 307 }],
      [{ host: 'a.com', path: '/s308' }, { status: 308 }],
      ...(
        [
          ['/scheme', 'https://a.com/scheme'],
          ['/port', 'http://a.com:8083/port'],
          ['/both', 'https://example.org:8443/both'],
          ['/https443', 'https://a.com/https443'],
          ['/http80', 'http://a.com/http80'],
          ['/full/x?q=1', 'http://a.com:$P1/full-path?q=1'],
          ['/prefix/long/lemon', 'http://a.com:$P1/new/lemon'],
          ['/cut/lemon', 'http://a.com:$P1/lemon'],
          ['/cut', 'http://a.com:$P1/'],
        ] as const
      ).map(
        ([path, location]): Row => [
          { host: 'a.com', path },
          { status: 302, response: { location } },
        ],
      ),
      [
        { host: 'a.com:1234', path: '/port' },
        { status: 302, response: { location: 'http://a.com:8083/port' } },
      ],
    ],
  },
  {
    name: 'rewrites of host and path',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
  - {matches: [{path: {value: /full}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /one}}}], ${to('v1')}}
  - {matches: [{path: {value: /prefix/one}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /two}}}], ${to('v1')}}
  - {matches: [{path: {value: /strip}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}], ${to('v1')}}
  - {matches: [{path: {value: /host}}], filters: [{type: URLRewrite, urlRewrite: {hostname: test.example.org}}, {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-too, value: also}]}}], ${to('v2')}}`,
      ),
    rows: [
      [{ path: '/full/a?x=1' }, { path: '/one?x=1' }],
      [{ path: '/prefix/one/three' }, { path: '/two/three' }],
      [{ path: '/prefix/one' }, { path: '/two' }],
      [{ path: '/strip/three?a' }, { path: '/three?a' }],
      [{ path: '/strip' }, { path: '/' }],
      [
        { path: '/host', host: 'a.com' },
        { host: 'test.example.org', request: { 'x-too': 'also' } },
      ],
    ],
  },
  {
    name: 'CORS: preflights are answered here, answers carry the origin',
    yaml: filters(
      '{type: CORS, cors: {allowOrigins: ["https://www.foo.com", "https://*.bar.com"], allowMethods: [GET, OPTIONS], allowHeaders: [x-header-1, x-header-2], exposeHeaders: [x-header-3], allowCredentials: true, maxAge: 3600}}',
    ),
    rows: [
      [
        {
          method: 'OPTIONS',
          headers: {
            origin: 'https://www.foo.com',
            'access-control-request-method': 'GET',
            'access-control-request-headers': 'x-header-1',
          },
        },
        {
          response: {
            'access-control-allow-origin': 'https://www.foo.com',
            'access-control-allow-methods': 'GET, OPTIONS',
            'access-control-allow-headers': 'x-header-1, x-header-2',
            'access-control-max-age': '3600',
            'access-control-allow-credentials': 'true',
          },
        },
      ],
      [
        { headers: { origin: 'https://a.bar.com' } },
        {
          backend: 'v1',
          response: {
            'access-control-allow-origin': 'https://a.bar.com',
            'access-control-expose-headers': 'x-header-3',
          },
        },
      ],
      [
        { headers: { origin: 'https://foo.com' } },
        { backend: 'v1', response: { 'access-control-allow-origin': undefined } },
      ],
      [
        {
          method: 'OPTIONS',
          headers: { origin: 'https://evil.com', 'access-control-request-method': 'GET' },
        },
        { response: { 'access-control-allow-origin': undefined } },
      ],
    ],
  },
  {
    name: 'timeouts of the request and of a try',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
  - {matches: [{path: {value: /request}}], timeouts: {request: 300ms}, ${to('v1')}}
  - {matches: [{path: {value: /backend}}], timeouts: {backendRequest: 300ms}, ${to('v1')}}
  - {matches: [{path: {value: /none}}], timeouts: {request: 0s}, ${to('v1')}}`,
      ),
    rows: [
      [{ path: '/request?delay=0' }, { backend: 'v1' }],
      [{ path: '/request?delay=900' }, { status: 504 }],
      [{ path: '/backend?delay=900' }, { status: 504 }],
      [{ path: '/none?delay=400' }, { backend: 'v1' }],
    ],
  },
  {
    name: 'retries: codes, attempts, and none without the code',
    yaml:
      GATEWAY +
      httpRoute(
        'r',
        `  rules:
  - {matches: [{path: {value: /retry}}], retry: {codes: [503], attempts: 2, backoff: 10ms}, ${to('v1')}}
  - {matches: [{path: {value: /plain}}], ${to('v1')}}
  - {matches: [{path: {value: /other}}], retry: {codes: [500], attempts: 2, backoff: 10ms}, ${to('v1')}}`,
      ),
    rows: [
      [{ path: '/retry/a?fail=2' }, { backend: 'v1' }],
      [{ path: '/retry/b?fail=3' }, { status: 503 }],
      [{ path: '/plain?fail=1' }, { status: 503 }],
      [{ path: '/other?fail=1' }, { status: 503 }],
    ],
  },
  {
    name: 'upgrades of connections pass',
    yaml: GATEWAY + httpRoute('r', `  rules: [{${to('v1')}}]`),
    rows: [[{ headers: { connection: 'upgrade', upgrade: 'websocket' } }, { status: 101 }]],
  },
]

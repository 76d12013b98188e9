/**
 * `HTTPRoute` of gateway.networking.k8s.io (v1, v1beta1), both channels: how
 * requests that reach a Gateway, or go to a Service (GAMMA), are matched,
 * changed and sent on.
 */

import {
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
  backendFields,
  gatewayDuration,
  headerName,
  headerValue,
  hostname,
  sectionName,
  withServicePort,
} from './gateway-api-common.ts'
import { filters } from './http-route-filters.ts'
import { parentRefs } from './parent-refs.ts'
import { sessionPersistence } from './session-persistence.ts'

const backendRef = withServicePort(
  object({
    ...backendFields,
    weight: defaulted(integer({ min: 0, max: 1_000_000 }), 1),
    filters,
  }),
)

const PLAIN_PATH = "self.type in ['Exact', 'PathPrefix']"

function pathMustNot(condition: string, message: string): CelRule {
  return { cel: `(${PLAIN_PATH}) ? !self.value.${condition} : true`, message, field: 'value' }
}

const path = withRules(
  object({
    type: defaulted(oneOfValues('Exact', 'PathPrefix', 'RegularExpression'), 'PathPrefix'),
    value: defaulted(string({ maxLength: 1024 }), '/'),
  }),
  {
    cel: `(${PLAIN_PATH}) ? self.value.startsWith('/') : true`,
    message: 'must begin with "/"',
    field: 'value',
  },
  pathMustNot("contains('//')", 'must not contain "//"'),
  pathMustNot("contains('/./')", 'must not contain "/./"'),
  pathMustNot("contains('/../')", 'must not contain "/../"'),
  pathMustNot("contains('%2f')", 'must not contain "%2f"'),
  pathMustNot("contains('%2F')", 'must not contain "%2F"'),
  pathMustNot("contains('#')", 'must not contain "#"'),
  pathMustNot("endsWith('/..')", 'must not end with "/.."'),
  pathMustNot("endsWith('/.')", 'must not end with "/."'),
  {
    cel: `(${PLAIN_PATH}) ? self.value.matches(r"""^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$""") : true`,
    message: 'must be characters of a path; write others as % and two hexadecimal digits',
    field: 'value',
  },
)

const match = object({
  path: defaulted(path, { type: 'PathPrefix', value: '/' }),
  headers: list(
    object({
      type: defaulted(oneOfValues('Exact', 'RegularExpression'), 'Exact'),
      name: required(headerName),
      value: required(headerValue),
    }),
    { maxItems: 16, keys: ['name'] },
  ),
  queryParams: list(
    object({
      type: defaulted(oneOfValues('Exact', 'RegularExpression'), 'Exact'),
      name: required(headerName),
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

const timeouts = withRules(object({ request: gatewayDuration, backendRequest: gatewayDuration }), {
  cel: "!(has(self.request) && has(self.backendRequest) && duration(self.request) != duration('0s') && duration(self.backendRequest) > duration(self.request))",
  message: 'must not be longer than timeouts.request, which includes it',
  field: 'backendRequest',
})

const ONE_PREFIX_MATCH = "size(self.matches) == 1 && self.matches[0].path.type == 'PathPrefix'"

/** Replacing a matched prefix needs one match, by prefix, to say what is replaced. */
function needsPrefixMatch(field: 'requestRedirect' | 'urlRewrite'): readonly CelRule[] {
  const replaces = `has(f.${field}) && has(f.${field}.path) && f.${field}.path.type == 'ReplacePrefixMatch' && has(f.${field}.path.replacePrefixMatch)`
  const message = `replacePrefixMatch in ${field} needs exactly one match of type PathPrefix`
  return [
    {
      cel: `(has(self.filters) && self.filters.exists(f, ${replaces})) ? (${ONE_PREFIX_MATCH}) : true`,
      message,
      field: 'filters',
    },
    {
      cel: `(has(self.backendRefs) && self.backendRefs.exists(b, has(b.filters) && b.filters.exists(f, ${replaces}))) ? (${ONE_PREFIX_MATCH}) : true`,
      message,
      field: 'backendRefs',
    },
  ]
}

const rule = withRules(
  object({
    name: sectionName,
    matches: defaulted(list(match, { maxItems: 64 }), [
      { path: { type: 'PathPrefix', value: '/' } },
    ]),
    filters,
    backendRefs: list(backendRef, { maxItems: 16 }),
    timeouts,
    retry: object({
      codes: list(integer({ min: 400, max: 599 }), { isSet: true }),
      attempts: integer({ min: 1 }),
      backoff: gatewayDuration,
    }),
    sessionPersistence,
  }),
  {
    cel: '(has(self.backendRefs) && size(self.backendRefs) > 0) ? (!has(self.filters) || self.filters.all(f, !has(f.requestRedirect))) : true',
    message: 'cannot be combined with a RequestRedirect filter, which answers itself; remove one',
    field: 'backendRefs',
  },
  ...needsPrefixMatch('requestRedirect'),
  ...needsPrefixMatch('urlRewrite'),
)

/** CEL has no sum, so the CRD writes one term for each rule that there may be. */
const TOTAL_MATCHES = Array.from(
  { length: 16 },
  (_, index) => `(self.size() > ${index} ? self[${index}].matches.size() : 0)`,
).join(' + ')

const rules = withRules(
  list(rule, { minItems: 1, maxItems: 16 }),
  {
    cel: `${TOTAL_MATCHES} <= 128`,
    message: 'all rules together may have at most 128 matches',
  },
  {
    cel: 'self.all(l1, !has(l1.name) || self.exists_one(l2, has(l2.name) && l1.name == l2.name))',
    message: 'two rules have the same name',
  },
)

export const httpRoute = object({
  parentRefs,
  hostnames: list(hostname, { maxItems: 16 }),
  rules: defaulted(rules, [{ matches: [{ path: { type: 'PathPrefix', value: '/' } }] }]),
  useDefaultGateways: oneOfValues('All', 'None'),
})

export type HttpRoute = Infer<typeof httpRoute>
export type HttpRouteRuleSpec = Infer<typeof rule>
export type HttpRouteMatch = Infer<typeof match>
export type HttpBackendRef = Infer<typeof backendRef>

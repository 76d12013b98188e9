/** Names and references that the kinds of gateway.networking.k8s.io share. */

import {
  defaulted,
  integer,
  list,
  map,
  object,
  required,
  type Schema,
  string,
  withRules,
} from '../schema/schema.ts'

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?'
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`

export const group = string({
  maxLength: 253,
  pattern: new RegExp(`^$|^${SUBDOMAIN}$`),
  patternHint: 'must be empty or an API group in lower case such as gateway.networking.k8s.io',
})

export const kind = string({
  minLength: 1,
  maxLength: 63,
  pattern: /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/,
  patternHint: 'must be the name of a kind such as Service',
})

export const objectName = string({ minLength: 1, maxLength: 253 })

export const namespace = string({
  minLength: 1,
  maxLength: 63,
  pattern: new RegExp(`^${LABEL}$`),
  patternHint: 'must be the name of a namespace: lower-case letters, digits and inner hyphens',
})

export const sectionName = string({
  minLength: 1,
  maxLength: 253,
  pattern: new RegExp(`^${SUBDOMAIN}$`),
  patternHint: 'must be lower-case letters, digits, inner hyphens and dots',
})

/** With an optional `*.` in front. */
export const hostname = string({
  minLength: 1,
  maxLength: 253,
  pattern: new RegExp(`^(\\*\\.)?${SUBDOMAIN}$`),
  patternHint: 'must be a host name in lower case, which may begin with "*."',
})

export const preciseHostname = string({
  minLength: 1,
  maxLength: 253,
  pattern: new RegExp(`^${SUBDOMAIN}$`),
  patternHint: 'must be a host name in lower case, without "*"',
})

export const portNumber = integer({ min: 1, max: 65535 })

/** GEP-2257: at most four parts of at most five digits. */
export const gatewayDuration = string({
  maxLength: 64,
  pattern: /^([0-9]{1,5}(h|m|s|ms)){1,4}$/,
  patternHint:
    'must be a duration such as "10s", "500ms" or "1h30m": whole numbers, units h, m, s, ms',
})

export const headerName = string({
  minLength: 1,
  maxLength: 256,
  pattern: /^[A-Za-z0-9!#$%&'*+\-.^_`|~]+$/,
  patternHint: 'must be a header name: letters, digits and hyphens',
})

export const headerValue = string({
  minLength: 1,
  maxLength: 4096,
  // The CRD's `[\t ]?` means the same, and takes exponential time when it does not match.
  pattern: /^[!-~]+([\t ][!-~]+)*$/,
  patternHint: 'must be visible characters with single blanks between them',
})

export const labelSelector = object({
  matchLabels: map(string()),
  matchExpressions: list(
    object({ key: required(string()), operator: required(string()), values: list(string()) }),
  ),
})

export const backendFields = {
  group: defaulted(group, ''),
  kind: defaulted(kind, 'Service'),
  name: required(objectName),
  namespace,
  port: portNumber,
} as const

/** A reference to a Service must say which of its ports. */
export function withServicePort<T, P extends 'required' | 'optional' | 'defaulted'>(
  schema: Schema<T, P>,
): Schema<T, P> {
  return withRules(schema, {
    cel: "(size(self.group) == 0 && self.kind == 'Service') ? has(self.port) : true",
    message: 'is required to refer to a Service',
    field: 'port',
  })
}

export const backendObjectRef = withServicePort(object(backendFields))

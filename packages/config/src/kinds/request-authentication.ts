/** `RequestAuthentication` (security.istio.io): whose tokens of end users are believed. */

import {
  boolean,
  defaulted,
  type Infer,
  list,
  object,
  oneOfValues,
  required,
  string,
  withRules,
} from '../schema/schema.ts'
import { positiveDuration } from './istio-common.ts'
import { ONE_TARGET, securityTargetFields } from './security-target.ts'

const names = list(string({ minLength: 1 }))
const HEADER_NAME = /^[-_A-Za-z0-9]+$/

const jwtRule = withRules(
  object({
    issuer: string({ minLength: 1 }),
    audiences: names,
    jwksUri: string({ minLength: 1, maxLength: 2048 }),
    /** The older name of the field. */
    jwks_uri: string({ minLength: 1, maxLength: 2048 }),
    jwks: string(),
    fromHeaders: list(object({ name: required(string({ minLength: 1 })), prefix: string() })),
    fromParams: names,
    fromCookies: names,
    outputPayloadToHeader: string(),
    outputClaimToHeaders: list(
      object({
        header: required(
          string({ minLength: 1, pattern: HEADER_NAME, patternHint: 'letters, digits, - and _' }),
        ),
        claim: required(string({ minLength: 1 })),
      }),
    ),
    forwardOriginalToken: boolean(),
    timeout: positiveDuration(),
    spaceDelimitedClaims: list(string({ minLength: 1 }), { maxItems: 64 }),
    presence: defaulted(oneOfValues('OPTIONAL', 'REQUIRED'), 'OPTIONAL'),
  }),
  {
    cel: '(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1',
    message: 'only one of jwks or jwksUri can be set',
  },
)

export const requestAuthentication = withRules(
  object({ ...securityTargetFields, jwtRules: list(jwtRule, { maxItems: 4096 }) }),
  ONE_TARGET,
)

export type RequestAuthentication = Infer<typeof requestAuthentication>
export type JwtRule = Infer<typeof jwtRule>

/**
 * What a RequestAuthentication must satisfy beyond its schema: the rules of Istio's admission, and
 * loud words where tokens are believed that were not meant for anybody here.
 */

import type { JwtRule, RequestAuthentication } from '../kinds/request-authentication.ts'
import { itemPath } from '../text/places.ts'
import type { Findings, RuledObject } from './rules.ts'
import { checkSecurityTarget } from './security-target.ts'

export function checkRequestAuthentication({ spec: raw }: RuledObject, findings: Findings): void {
  const spec = raw as RequestAuthentication
  checkSecurityTarget(spec, findings)
  for (const [index, rule] of (spec.jwtRules ?? []).entries()) {
    checkRule(rule, itemPath('spec.jwtRules', index), findings)
  }
}

function checkRule(rule: JwtRule, path: string, findings: Findings): void {
  const { issuer = '', audiences = [], jwks = '', outputPayloadToHeader = '' } = rule
  const uri = rule.jwksUri ?? rule.jwks_uri
  if (issuer === '' && uri === undefined) {
    findings.error(`${path}.issuer`, 'missing-field', 'is required where jwksUri is not set')
  } else if (issuer === '') {
    const message = 'without an issuer, tokens of anybody whose key is in the set are believed'
    findings.warning(`${path}.issuer`, 'missing-field', message)
  }
  if (audiences.length === 0) {
    const message =
      'without audiences, tokens that the issuer made for other services are believed here; name who they must be for'
    findings.warning(`${path}.audiences`, 'any-audience', message)
  }
  const field = rule.jwksUri === undefined ? 'jwks_uri' : 'jwksUri'
  if (uri !== undefined) checkUri(uri, `${path}.${field}`, findings)
  else if (jwks === '') checkIssuer(issuer, `${path}.issuer`, findings)
  if (jwks !== '') checkKeySet(jwks, `${path}.jwks`, findings)
  if (outputPayloadToHeader !== '' && !/^[-_A-Za-z0-9]+$/.test(outputPayloadToHeader)) {
    const message = `must be letters, digits, - and _, got "${outputPayloadToHeader}"`
    findings.error(`${path}.outputPayloadToHeader`, 'bad-header', message)
  }
}

function checkUri(uri: string, path: string, findings: Findings): void {
  const problem = uriProblem(uri)
  if (problem !== undefined) findings.error(path, 'bad-url', problem)
  else if (uri.startsWith('http:')) {
    const message =
      'keys that come over plain http can be exchanged on the way; only hosts of the mesh are asked so: use https'
    findings.warning(path, 'plain-http', message)
  }
}

function uriProblem(uri: string): string | undefined {
  if (!/^https?:\/\//.test(uri)) return `must begin with http:// or https://, got "${uri}"`
  if (!URL.canParse(uri)) return `"${uri}" is no URL`
  const { username, password } = new URL(uri)
  return username === '' && password === '' ? undefined : 'must not have a user or a password'
}

/** Then its keys are found by OpenID Connect's discovery document. */
function checkIssuer(issuer: string, path: string, findings: Findings): void {
  if (issuer === '' || /^https?:\/\//.test(issuer)) return
  const message = `"${issuer}" is no URL at which its keys could be found; set jwksUri or jwks`
  findings.warning(path, 'bad-url', message)
}

const PRIVATE_PARTS = ['d', 'p', 'q', 'k']

function checkKeySet(jwks: string, path: string, findings: Findings): void {
  const keys = keysOf(jwks)
  if (keys === undefined) {
    findings.error(path, 'bad-key-set', 'must be a JSON object with a list of "keys" (RFC 7517)')
    return
  }
  const isPrivate = (key: unknown) =>
    typeof key === 'object' && key !== null && PRIVATE_PARTS.some((part) => part in key)
  for (const [index, key] of keys.entries()) {
    if (!isPrivate(key)) continue
    const message = `key ${index} has private parts: everybody who reads this can make tokens; leave the public ones only`
    findings.warning(path, 'bad-key-set', message)
  }
}

function keysOf(jwks: string): readonly unknown[] | undefined {
  try {
    const set: unknown = JSON.parse(jwks)
    if (typeof set !== 'object' || set === null) return undefined
    // Istio takes a key alone too.
    if ('kty' in set) return [set]
    return 'keys' in set && Array.isArray(set.keys) ? set.keys : undefined
  } catch {
    return undefined
  }
}

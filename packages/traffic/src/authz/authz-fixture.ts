/** Callers and rules for the tests of this folder. */
import type { Permission, Principal, RbacPolicy, RbacRules } from '@weft/model'
import type { Caller, CallerRequest, VerifiedToken } from './caller.ts'
import { compileRbac, decideRbac } from './evaluate.ts'

export interface CallFacts {
  readonly method?: string
  readonly host?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, readonly string[]>>
  readonly tokens?: readonly VerifiedToken[]
}

function requestOf(facts: CallFacts = {}): CallerRequest {
  const headers = new Map(Object.entries(facts.headers ?? {}))
  return {
    method: facts.method ?? 'GET',
    scheme: 'http',
    authority: facts.host ?? 'cart',
    path: facts.path ?? '/',
    header: (name) => headers.get(name)?.join(','),
    headerValues: (name) => headers.get(name) ?? [],
    tokens: facts.tokens ?? [],
  }
}

export function callerWith(more: Partial<Caller> = {}, facts: CallFacts = {}): Caller {
  return {
    sourceIp: '10.0.0.1',
    remoteIp: '203.0.113.5',
    destinationIp: '10.0.0.9',
    destinationPort: 8080,
    serverName: undefined,
    principals: ['spiffe://cluster.local/ns/shop/sa/web'],
    request: requestOf(facts),
    ...more,
  }
}

export function rulesOf(
  action: RbacRules['action'],
  ...pairs: readonly (readonly [Permission, Principal])[]
): RbacRules {
  const policies = pairs.map(
    ([permission, principal], i): RbacPolicy => ({
      name: `p${i}`,
      permissions: [permission],
      principals: [principal],
      origins: [],
    }),
  )
  return { action, policies }
}

export const ANY = { kind: 'any' } as const

/** Whether ALLOW rules with one permission let a caller pass. */
export function permits(permission: Permission, caller: Caller): boolean {
  return decideRbac(compileRbac(rulesOf('allow', [permission, ANY])), caller).allowed
}

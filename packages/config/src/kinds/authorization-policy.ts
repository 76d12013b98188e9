/** `AuthorizationPolicy` (security.istio.io): who may call what. */

import {
  defaulted,
  type Infer,
  list,
  object,
  oneOfValues,
  required,
  string,
  withRules,
} from '../schema/schema.ts'
import { stringList } from './istio-common.ts'
import { ONE_TARGET, securityTargetFields } from './security-target.ts'

const serviceAccounts = list(string({ maxLength: 320 }), { maxItems: 16 })

const source = withRules(
  object({
    principals: stringList,
    notPrincipals: stringList,
    requestPrincipals: stringList,
    notRequestPrincipals: stringList,
    namespaces: stringList,
    notNamespaces: stringList,
    serviceAccounts,
    notServiceAccounts: serviceAccounts,
    trustDomains: stringList,
    notTrustDomains: stringList,
    ipBlocks: stringList,
    notIpBlocks: stringList,
    remoteIpBlocks: stringList,
    notRemoteIpBlocks: stringList,
  }),
  {
    cel: '(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) && !has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true',
    message: 'Cannot set serviceAccounts with namespaces or principals',
  },
)

const operation = object({
  hosts: stringList,
  notHosts: stringList,
  ports: stringList,
  notPorts: stringList,
  methods: stringList,
  notMethods: stringList,
  paths: stringList,
  notPaths: stringList,
})

const condition = object({
  key: required(string()),
  values: stringList,
  notValues: stringList,
})

const rule = object({
  from: list(object({ source }), { maxItems: 512 }),
  to: list(object({ operation })),
  when: list(condition),
})

export const authorizationPolicy = withRules(
  object({
    ...securityTargetFields,
    action: defaulted(oneOfValues('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'), 'ALLOW'),
    provider: object({ name: string() }),
    rules: list(rule, { maxItems: 512 }),
  }),
  ONE_TARGET,
)

export type AuthorizationPolicy = Infer<typeof authorizationPolicy>
export type AuthorizationRule = Infer<typeof rule>
export type AuthorizationSource = Infer<typeof source>
export type AuthorizationOperation = Infer<typeof operation>

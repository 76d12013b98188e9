/** Every check across objects, in the order in which they run. */
// not a member: analysis-index.ts
// not a member: analyze.ts
// not a member: security-targets.ts

import { checkAuthorizationPolicies } from './authorization-policies.ts'
import { checkBackendPolicies } from './backend-policies.ts'
import type { Check } from './check.ts'
import { checkDestinationRules } from './destination-rules.ts'
import { checkDuplicates } from './duplicates.ts'
import { checkGatewayApi } from './gateway-api.ts'
import { checkGatewayListeners } from './gateway-listeners.ts'
import { checkIstioGateways } from './istio-gateways.ts'
import { checkMeshHosts } from './mesh-hosts.ts'
import { checkPeerAuthentications } from './peer-authentications.ts'
import { checkPolicies } from './policies.ts'
import { checkRequestAuthentications } from './request-authentications.ts'
import { checkRouteRules } from './route-rules.ts'
import { checkRoutes } from './routes.ts'
import { checkSidecars } from './sidecars.ts'

export const CHECKS = {
  duplicates: checkDuplicates,
  routes: checkRoutes,
  meshHosts: checkMeshHosts,
  destinationRules: checkDestinationRules,
  istioGateways: checkIstioGateways,
  gatewayApi: checkGatewayApi,
  gatewayListeners: checkGatewayListeners,
  routeRules: checkRouteRules,
  policies: checkPolicies,
  backendPolicies: checkBackendPolicies,
  sidecars: checkSidecars,
  authorizationPolicies: checkAuthorizationPolicies,
  requestAuthentications: checkRequestAuthentications,
  peerAuthentications: checkPeerAuthentications,
} as const satisfies Record<string, Check>

/** Every admin endpoint. Adding one is adding a line. */
// not a member: admin-server.ts
// not a member: console-pages.ts
// not a member: http-answer.ts
// not a member: storage-full.ts
// not a member: test-admin.ts
import { apply, deleteEndpoint } from './apply.ts'
import {
  ca,
  caBundle,
  caFederation,
  caImport,
  caRotate,
  caSpiffeBundle,
  createJoinToken,
  joinTokens,
  revokeJoinToken,
} from './ca.ts'
import {
  consoleLink,
  consoleLogin,
  consoleLogout,
  consolePage,
  consoleScript,
  consoleStyle,
} from './console.ts'
import { configz, registryz, syncz } from './debug.ts'
import type { AdminEndpoint } from './endpoint.ts'
import { healthz, ready } from './health.ts'
import { objects, proxies, resources, services, status } from './mesh.ts'
import { metrics } from './metrics.ts'
import {
  audit,
  canFor,
  createOperatorToken,
  operatorTokens,
  revokeOperatorToken,
  whoami,
} from './operators.ts'

export const adminEndpoints: readonly AdminEndpoint[] = [
  ready,
  healthz,
  metrics,
  status,
  proxies,
  objects,
  services,
  resources,
  apply,
  deleteEndpoint,
  ca,
  caBundle,
  caSpiffeBundle,
  caFederation,
  caRotate,
  caImport,
  joinTokens,
  createJoinToken,
  revokeJoinToken,
  whoami,
  canFor(() => adminEndpoints.flatMap(({ access }) => (access === 'code' ? [] : [access]))),
  operatorTokens,
  createOperatorToken,
  revokeOperatorToken,
  audit,
  consoleLink,
  consolePage,
  consoleScript,
  consoleStyle,
  consoleLogin,
  consoleLogout,
  syncz,
  registryz,
  configz,
]

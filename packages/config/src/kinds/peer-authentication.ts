/**
 * `PeerAuthentication` (security.istio.io): whether workloads take mutual TLS of the mesh,
 * plaintext, or both. Checks beyond the schema are in `rules/peer-authentication.ts`.
 */

import { type Infer, map, object, oneOfValues, withRules } from '../schema/schema.ts'
import { workloadSelector } from './security-target.ts'

const mutualTls = object({ mode: oneOfValues('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT') })

export const peerAuthentication = withRules(
  object({
    selector: workloadSelector,
    mtls: mutualTls,
    portLevelMtls: map(mutualTls),
  }),
  {
    cel: '(has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0) || !has(self.portLevelMtls)',
    message: 'portLevelMtls requires selector',
    field: 'portLevelMtls',
  },
)

export type PeerAuthentication = Infer<typeof peerAuthentication>

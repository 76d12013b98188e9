/** Where in the mesh an instance is: its identity says so, and its own word only where it has none. */
import { parseSpiffeId, serviceAccountOf } from '@weft/model'
import type { InstanceFacts, PeerIdentity } from '../peer-facts.ts'

/** What instances say that say nothing. */
const UNSAID = 'default'

/** A text refuses it: it says that it is somewhere else. */
export function placeInstance(
  instance: InstanceFacts | undefined,
  { principal }: PeerIdentity,
): InstanceFacts | string | undefined {
  const parsed = principal === undefined ? undefined : parseSpiffeId(principal)
  const account = parsed?.ok === true ? serviceAccountOf(parsed.id) : undefined
  if (instance === undefined || account === undefined) return instance
  const { namespace } = account
  if (instance.namespace === namespace) return instance
  if (instance.namespace === UNSAID) return { ...instance, namespace }
  return `WEFT-403 ${principal} may not be in the namespace ${instance.namespace}`
}

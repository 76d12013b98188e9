/**
 * A broker leaves its cluster without a loss (§ 14.5): others ask elsewhere as far as they can,
 * applications move, the others say that they ask nothing any more, and what is open ends.
 */
import type { Broker } from '../broker.ts'
import type { ClusterMember } from './cluster-member.ts'

/** Applications get so long to open a link to another broker before new requests are refused here. */
const MOVE_MS = 2_000

/** @param deadlineMs From now until what is left is cut, in milliseconds. */
export async function drainCluster(
  member: ClusterMember,
  broker: Broker,
  deadlineMs: number,
): Promise<void> {
  const { clock } = broker
  const beganMs = clock.monotonicMs()
  await member.beginDrain()
  await broker.drain({
    deadlineMs: Math.max(0, deadlineMs - (clock.monotonicMs() - beganMs)),
    graceMs: Math.min(MOVE_MS, deadlineMs / 4),
    replaceWith: member.others,
    afterGrace: () => member.stopRequests(),
  })
}

/** `mirror` and `mirrors[]` of VirtualServices: copies of requests whose answers nobody reads. */
import type { HttpRouteRule } from '@weft/config'
import type { Mirror } from '@weft/model'
import type { RouteContext } from '../routes/route-context.ts'
import { resolveDestination } from './destination.ts'

export function mirrors(
  rule: HttpRouteRule,
  namespace: string,
  context: RouteContext,
): readonly Mirror[] {
  const list: Mirror[] = []
  const add = (destination: NonNullable<HttpRouteRule['mirror']>, percent: number) => {
    if (percent <= 0) return
    list.push({ cluster: resolveDestination(destination, namespace, context).cluster, percent })
  }
  if (rule.mirror !== undefined) {
    const older = rule.mirrorPercent ?? rule.mirror_percent ?? 100
    // An explicit share without a value is zero, as protobuf has it.
    add(
      rule.mirror,
      rule.mirrorPercentage === undefined ? older : (rule.mirrorPercentage.value ?? 0),
    )
  }
  for (const { destination, percentage } of rule.mirrors ?? []) {
    add(destination, percentage === undefined ? 100 : (percentage.value ?? 0))
  }
  return list
}

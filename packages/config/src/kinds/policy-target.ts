/** What a policy of Weft's own attaches to. */

import {
  defaulted,
  type Infer,
  list,
  map,
  object,
  oneOfValues,
  required,
  string,
} from '../schema/schema.ts'

/** In the policy's own namespace. The group tells the two kinds of Gateway apart; without it either is meant. */
const targetRef = object({
  group: string(),
  kind: required(oneOfValues('Service', 'HTTPRoute', 'GRPCRoute', 'VirtualService', 'Gateway')),
  name: required(string({ minLength: 1, maxLength: 253 })),
  /** Name of a port, a rule, a listener or a server. */
  sectionName: string({ minLength: 1, maxLength: 253 }),
})

export const targetFields = {
  targetRefs: defaulted(list(targetRef, { minItems: 1, maxItems: 16 }), []),
  selector: object({ matchLabels: required(map(string(), { maxEntries: 64 })) }),
} as const

export type PolicyTarget = Infer<typeof targetRef>

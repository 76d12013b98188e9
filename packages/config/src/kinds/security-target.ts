/** What Istio's security policies are for: workloads by label, or objects by name; neither: the whole namespace. */

import { type Infer, list, map, object, required, string, withRules } from '../schema/schema.ts'

const GROUP = /^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const KIND = /^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/

const securityTargetRef = object({
  group: string({ maxLength: 253, pattern: GROUP, patternHint: 'a DNS name' }),
  kind: required(
    string({ minLength: 1, maxLength: 63, pattern: KIND, patternHint: 'letters, digits, hyphens' }),
  ),
  name: required(string({ minLength: 1, maxLength: 253 })),
  namespace: withRules(string(), {
    cel: 'self.size() == 0',
    message: 'cross namespace referencing is not currently supported',
  }),
})

/** Labels that a workload must have. */
export const workloadSelector = object({
  matchLabels: withRules(
    map(
      withRules(string({ maxLength: 63 }), {
        cel: '!self.contains("*")',
        message: 'wildcard not allowed in label value match',
      }),
      { maxEntries: 4096 },
    ),
    {
      cel: 'self.all(key, !key.contains("*"))',
      message: 'wildcard not allowed in label key match',
    },
    { cel: 'self.all(key, key.size() != 0)', message: 'key must not be empty' },
  ),
})

export const securityTargetFields = {
  selector: workloadSelector,
  targetRef: securityTargetRef,
  targetRefs: list(securityTargetRef, { maxItems: 16 }),
} as const

/** For the object that has these fields. */
export const ONE_TARGET = {
  cel: '(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1',
  message: 'only one of targetRefs or selector can be set',
} as const

export type SecurityTargetRef = Infer<typeof securityTargetRef>

/** Where a security policy says what it is for. */
export interface SecurityTarget {
  readonly selector?: Infer<typeof workloadSelector>
  readonly targetRef?: SecurityTargetRef
  readonly targetRefs?: readonly SecurityTargetRef[]
}

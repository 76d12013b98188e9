/** `parentRefs`, which every kind of route has. */

import { defaulted, type Infer, list, object, required, withRules } from '../schema/schema.ts'
import {
  group,
  kind,
  namespace,
  objectName,
  portNumber,
  sectionName,
} from './gateway-api-common.ts'

const parentRef = object({
  group: defaulted(group, 'gateway.networking.k8s.io'),
  kind: defaulted(kind, 'Gateway'),
  namespace,
  name: required(objectName),
  sectionName,
  port: portNumber,
})

const SAME_PARENT =
  "p1.group == p2.group && p1.kind == p2.kind && p1.name == p2.name && (((!has(p1.__namespace__) || p1.__namespace__ == '') && (!has(p2.__namespace__) || p2.__namespace__ == '')) || (has(p1.__namespace__) && has(p2.__namespace__) && p1.__namespace__ == p2.__namespace__))"

export const parentRefs = withRules(
  list(parentRef, { maxItems: 32 }),
  {
    cel: `self.all(p1, self.all(p2, (${SAME_PARENT}) ? ((!has(p1.sectionName) || p1.sectionName == '') == (!has(p2.sectionName) || p2.sectionName == '') && (!has(p1.port) || p1.port == 0) == (!has(p2.port) || p2.port == 0)) : true))`,
    message: 'all references to the same parent must have a sectionName or port, or none of them',
  },
  {
    cel: `self.all(p1, self.exists_one(p2, (${SAME_PARENT}) && (((!has(p1.sectionName) || p1.sectionName == '') && (!has(p2.sectionName) || p2.sectionName == '')) || (has(p1.sectionName) && has(p2.sectionName) && p1.sectionName == p2.sectionName)) && (((!has(p1.port) || p1.port == 0) && (!has(p2.port) || p2.port == 0)) || (has(p1.port) && has(p2.port) && p1.port == p2.port))))`,
    message: 'references to the same parent must differ in sectionName or port',
  },
)

export type ParentRef = Infer<typeof parentRef>

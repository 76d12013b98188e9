/** `ListenerSet` of gateway.networking.k8s.io (v1): more listeners for a Gateway, from another hand. */

import { defaulted, type Infer, object, required } from '../schema/schema.ts'
import { listeners } from './gateway-api.ts'
import { group, kind, namespace, objectName } from './gateway-api-common.ts'

export const listenerSet = object({
  parentRef: required(
    object({
      group: defaulted(group, 'gateway.networking.k8s.io'),
      kind: defaulted(kind, 'Gateway'),
      namespace,
      name: required(objectName),
    }),
  ),
  listeners: required(listeners),
})

export type ListenerSet = Infer<typeof listenerSet>

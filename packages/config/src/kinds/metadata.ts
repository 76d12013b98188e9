/** `metadata`: the same for every kind. */

import {
  type AnySchema,
  anything,
  defaulted,
  integer,
  list,
  map,
  object,
  string,
} from '../schema/schema.ts'

export const metadata: AnySchema = object({
  name: string(),
  generateName: string(),
  namespace: string(),
  labels: defaulted(map(string()), {}),
  annotations: defaulted(map(string()), {}),
  creationTimestamp: string(),
  deletionTimestamp: string(),
  deletionGracePeriodSeconds: integer({ min: 0 }),
  uid: string(),
  resourceVersion: string(),
  generation: integer({ min: 0 }),
  finalizers: list(string()),
  ownerReferences: list(anything()),
  managedFields: list(anything()),
  selfLink: string(),
  clusterName: string(),
})

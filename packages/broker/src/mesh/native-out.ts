/**
 * Calls in RSocket's own form to a service that nobody offers by dialling in, and that the mesh
 * knows by name: they leave as `POST /<service>/<method>` through the caller's sidecar.
 */
import {
  FrameView,
  HTTP_ENTRY_MIME,
  readFrame,
  renderComposite,
  renderHttpRequest,
} from '@weft/wire'
import { withPayload } from '../filters/frames.ts'
import { GatheredMetadata } from '../gathered-metadata.ts'
import type { RequestCall } from '../request-call.ts'
import type { WorkloadPolicy } from './workload-policy.ts'

const authorities = new WeakMap<WorkloadPolicy, ReadonlyMap<string, string>>()

/** As the caller's routes name the service, with its port; undefined: the mesh has none of that name. */
export function authorityFor(policy: WorkloadPolicy, service: string): string | undefined {
  let known = authorities.get(policy)
  if (known === undefined) {
    known = authoritiesOf(policy)
    authorities.set(policy, known)
  }
  return known.get(service.toLowerCase())
}

/** By name. Of several ports the one that needs none, 80, or the first of the routes. */
function authoritiesOf({ routes }: WorkloadPolicy): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const { source } of routes?.virtualHosts ?? []) {
    for (const domain of source.domains) {
      const [, name, port] = /^([^*:[\]]+)(?::(\d+))?$/.exec(domain.toLowerCase()) ?? []
      if (name === undefined) continue
      if (port === undefined || port === '80' || !found.has(name)) found.set(name, domain)
    }
  }
  return found
}

const view = new FrameView()
const FIELD_NAME = /^[a-z0-9!#$%&'*+.^_`|~-]+$/
/** Tags that are of RSocket alone. */
const NOT_FIELDS: ReadonlySet<string> = new Set(['timeout', 'e', 'sticky', 'authorization'])

/** The request with a head of HTTP in place of its metadata; undefined: that is in pieces. */
export function asHttpRequest(
  frame: Uint8Array,
  call: RequestCall,
  authority: string,
): Uint8Array | undefined {
  if (readFrame(view, frame, 0, frame.length) !== undefined) return undefined
  if (GatheredMetadata.isNeeded(view)) return undefined
  const { method, path } = call
  const content = renderHttpRequest({ method, path, authority, fields: fieldsOf(call) })
  return withPayload(frame, renderComposite([{ mime: HTTP_ENTRY_MIME, content }]), undefined)
}

function fieldsOf(call: RequestCall): (readonly [string, string])[] {
  const { trace } = call
  const fields: (readonly [string, string])[] = []
  for (const name of ['content-type', 'authorization', 'x-rsocket-interaction']) {
    const value = call.header(name)
    if (value !== undefined) fields.push([name, value])
  }
  for (const [name, value] of call.tags) {
    const isTaken = fields.some(([each]) => each === name)
    if (FIELD_NAME.test(name) && !NOT_FIELDS.has(name) && !isTaken) fields.push([name, value])
  }
  if (trace !== undefined && !call.tags.has('traceparent') && !call.tags.has('b3')) {
    const { traceId, spanId, sampling } = trace
    fields.push(['b3', `${traceId}-${spanId}${SAMPLED[sampling]}`])
  }
  return fields
}

const SAMPLED = { debug: '-d', sample: '-1', drop: '-0', undecided: '' } as const

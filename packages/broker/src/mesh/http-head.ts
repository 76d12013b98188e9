/** Heads of HTTP messages inside frames: read, changed by a route's rules, and put back. */
import type { RequestView } from '@weft/model'
import {
  type CompiledForward,
  type CompiledTarget,
  type FieldChanges,
  type HeaderContext,
  type HeaderOp,
  renderTemplate,
  rewriteAuthority,
  rewritePath,
} from '@weft/traffic'
import {
  FrameView,
  HTTP_ENTRY_MIME,
  type HttpResponseEntry,
  readComposite,
  readFrame,
  readHttpRequest,
  readHttpResponse,
  renderComposite,
  renderHttpRequest,
  renderHttpResponse,
  writeUint24,
} from '@weft/wire'
import type { Leg } from '../leg.ts'

type Fields = readonly (readonly [name: string, value: string])[]

const view = new FrameView()

/** Whether the request or its answer is not the same behind this route. */
export function changesHeads(action: CompiledForward, target: CompiledTarget): boolean {
  const { requestHeaders, responseHeaders, hostRewrite } = target
  if (requestHeaders.length > 0 || responseHeaders.length > 0) return true
  return hostRewrite !== undefined || action.rewritePath !== undefined
}

/** The request's frame with the head that its responder gets. */
export function withRequestHead(
  frame: Uint8Array,
  action: CompiledForward,
  target: CompiledTarget,
  context: HeaderContext,
): Uint8Array | undefined {
  return withEntry(frame, (content) => {
    const head = readHttpRequest(content)
    if (head === undefined) return undefined
    const host = rewriteAuthority(target, head.authority, head.authority)
    return renderHttpRequest({
      method: head.method,
      path: rewritePath(action, head.path),
      authority: host === '' ? head.authority : host,
      fields: applyOps(head.fields, target.requestHeaders, context),
    })
  })
}

/** The request's frame with what the verification of its token does to its head. */
export function withFieldChanges(
  frame: Uint8Array,
  all: readonly FieldChanges[],
): Uint8Array | undefined {
  if (all.length === 0) return frame
  return withEntry(frame, (content) => {
    const head = readHttpRequest(content)
    if (head === undefined) return undefined
    let { path, fields } = head
    for (const changes of all) {
      const { remove = [], set = [], append = [] } = changes
      const gone = new Set([...remove, ...set.map(({ name }) => name.toLowerCase())])
      const more = [...set, ...append].map(
        ({ name, value }) => [name.toLowerCase(), value] as const,
      )
      fields = [...fields.filter(([name]) => !gone.has(name)), ...more]
      path = changes.path ?? path
    }
    return renderHttpRequest({ ...head, path, fields })
  })
}

/** Fields of an answer of the broker's own, as the route changes those of each answer. */
export function changedAnswer(
  head: HttpResponseEntry,
  ops: readonly HeaderOp[],
  context: HeaderContext,
): HttpResponseEntry['fields'] {
  return applyOps(head.fields, ops, context)
}

/** The same request for a host name with `-shadow` behind it (Envoy). */
export function shadowOf(frame: Uint8Array): Uint8Array | undefined {
  return withEntry(frame, (content) => {
    const head = readHttpRequest(content)
    if (head === undefined) return undefined
    const authority = head.authority.replace(/^([^:]*)/, '$1-shadow')
    return renderHttpRequest({ ...head, authority })
  })
}

/** The head of the answer that this frame begins; undefined: it has none. */
export function responseHeadOf(answer: FrameView): HttpResponseEntry | undefined {
  const metadata = answer.bytes.subarray(answer.metadataFrom, answer.metadataTo)
  const entry = answer.hasMetadata ? readComposite(metadata) : undefined
  const content = entry?.find(({ mime }) => mime === HTTP_ENTRY_MIME)?.content
  return content && readHttpResponse(content)
}

/** The answer's first frame with the head that its requester gets. */
export function withResponseHead(
  answer: FrameView,
  head: HttpResponseEntry,
  ops: readonly HeaderOp[],
  context: HeaderContext,
): Uint8Array | undefined {
  const frame = answer.bytes.subarray(answer.from, answer.to)
  const status = { status: head.status }
  return withEntry(frame, () =>
    renderHttpResponse({ ...status, fields: applyOps(head.fields, ops, context) }),
  )
}

/** Undefined: there is no whole entry in this frame, or its content cannot be read. */
function withEntry(
  frame: Uint8Array,
  change: (content: Uint8Array) => Uint8Array | undefined,
): Uint8Array | undefined {
  if (readFrame(view, frame, 0, frame.length) !== undefined || !view.hasMetadata) return undefined
  const { metadataFrom, metadataTo } = view
  const entries = readComposite(frame.subarray(metadataFrom, metadataTo))
  const content = entries?.find(({ mime }) => mime === HTTP_ENTRY_MIME)?.content
  const changed = content && change(content)
  if (entries === undefined || changed === undefined) return undefined
  const metadata = renderComposite(
    entries.map(({ mime, content: old }) => ({
      mime,
      content: mime === HTTP_ENTRY_MIME ? changed : old,
    })),
  )
  const length = Buffer.alloc(3)
  writeUint24(length, 0, metadata.length)
  const head = frame.subarray(0, metadataFrom - length.length)
  return Buffer.concat([head, length, metadata, frame.subarray(metadataTo)])
}

/** Empty values are not written, as in Envoy. */
function applyOps(fields: Fields, ops: readonly HeaderOp[], context: HeaderContext): Fields {
  if (ops.length === 0) return fields
  let out = [...fields]
  for (const op of ops) {
    if (op.kind !== 'add') out = out.filter(([name]) => name !== op.name)
    if (op.kind === 'remove') continue
    const value = renderTemplate(op.value, context)
    if (value !== '') out.push([op.name, value])
  }
  return out
}

/** What header templates may ask for. */
export function headerContextOf(
  leg: Leg,
  request: RequestView,
  { routeName, clusterName, nowMs }: { routeName: string; clusterName: string; nowMs: number },
  answer?: HttpResponseEntry,
): HeaderContext {
  const { remoteAddress, localAddress } = leg.socket
  return {
    request,
    downstreamRemoteHost: remoteAddress.host,
    downstreamRemotePort: remoteAddress.port,
    downstreamDirectRemoteHost: remoteAddress.host,
    downstreamDirectRemotePort: remoteAddress.port,
    downstreamLocalHost: localAddress.host,
    downstreamLocalPort: localAddress.port,
    protocol: 'RSocket',
    startTimeMs: nowMs,
    ...{ routeName, clusterName },
    upstreamRemoteHost: undefined,
    upstreamRemotePort: undefined,
    downstreamPeerUriSan: leg.facts.identity.principal,
    requestedServerName: undefined,
    responseCode: answer?.status,
    responseHeader: (name) => answer?.fields.find(([each]) => each === name)?.[1],
  }
}

/** The authorization service over gRPC (`envoy.service.auth.v3.Authorization`). */
import type { PeerCertificate } from '@weft/net'
import {
  type CheckAnswer,
  type CheckMessages,
  type CheckQuestion,
  loadCheckMessages,
} from '@weft/xds'
import { callGrpc } from '../../upstream/grpc-call.ts'
import { type Asking, DENIED, type Decision, shownFields } from './decision.ts'

const CHECK = '/envoy.service.auth.v3.Authorization/Check'
/** There when the first question was asked a moment ago. */
let loaded: CheckMessages | undefined

/** @returns Cancels. */
export function askGrpc(
  asking: Asking,
  body: Buffer | undefined,
  done: (decision: Decision) => void,
): () => void {
  if (loaded !== undefined) return askWith(loaded, asking, body, done)
  let cancelled = false
  let cancel = (): void => {
    cancelled = true
  }
  void loadCheckMessages().then((messages) => {
    loaded = messages
    if (!cancelled) cancel = askWith(messages, asking, body, done)
  })
  return () => cancel()
}

function askWith(
  messages: CheckMessages,
  asking: Asking,
  body: Buffer | undefined,
  done: (decision: Decision) => void,
): () => void {
  const { service, timeoutMs } = asking.authorization
  const { runtime, deps } = asking.scope
  const cluster = runtime.clusters.get(service.cluster)
  if (service.kind !== 'grpc' || cluster === undefined) {
    done({ kind: 'error' })
    return () => {}
  }
  const message = messages.encodeCheckRequest(questionOf(asking, body))
  const authority = service.authority ?? service.cluster.replaceAll(/[^\w.:-]/g, '_')
  const question = { path: CHECK, authority, timeoutMs, message }
  return callGrpc(cluster, question, deps.clock, (bytes) => {
    const answer = bytes === undefined ? undefined : read(messages, bytes)
    done(answer === undefined ? { kind: 'error' } : decisionOf(answer, asking))
  })
}

function read(messages: CheckMessages, bytes: Uint8Array): CheckAnswer | undefined {
  try {
    return messages.decodeCheckResponse(bytes)
  } catch {
    return undefined
  }
}

function questionOf(asking: Asking, body: Buffer | undefined): CheckQuestion {
  const { authorization, call, scope, context } = asking
  const { request, peer, facts } = call
  const { method, path, authority, scheme } = request
  const client = peer.tls?.peer
  const metadata = authorization.metadataNamespaces.flatMap((filter) => {
    const values = facts.metadata(filter)
    return values === undefined ? [] : [[filter, values] as const]
  })
  const isShown = asking.shown ?? (() => true)
  const pseudo = { ':method': method, ':path': path, ':authority': authority, ':scheme': scheme }
  const shownPseudo = Object.entries(pseudo).filter(
    ([name]) => isShown(name) && !asking.hidden(name),
  )
  return {
    source: {
      address: peer.remote,
      principal: client?.uriSans[0] ?? client?.dnsSans[0] ?? '',
      certificate: authorization.includePeerCertificate ? pemOf(client) : '',
    },
    destination: { address: peer.local, principal: '', certificate: '' },
    timeMs: scope.deps.clock.nowMs(),
    id: peer.requestId,
    ...{ method, path, host: authority, scheme, protocol: peer.protocol },
    headers: { ...Object.fromEntries(shownPseudo), ...shownFields(asking, isShown) },
    size: body?.length ?? call.contentLength,
    ...(body === undefined ? {} : { body }),
    bodyAsBytes: authorization.requestBody?.asBytes ?? false,
    context,
    metadata: Object.fromEntries(metadata),
  }
}

/** As Envoy tells it: PEM, URL-encoded. */
function pemOf(client: PeerCertificate | undefined): string {
  if (client === undefined) return ''
  const lines = client.raw.toString('base64').replaceAll(/.{1,64}/g, '$&\n')
  const pem = `-----BEGIN CERTIFICATE-----\n${lines}-----END CERTIFICATE-----\n`
  return encodeURIComponent(pem)
}

function decisionOf(answer: CheckAnswer, { call }: Asking): Decision {
  if (!answer.allowed) {
    const { status, headers, body, metadata } = answer
    return { kind: 'deny', status: status === 0 ? DENIED : status, headers, body, metadata }
  }
  const by = (how: 'set' | 'append' | 'addIfAbsent') =>
    answer.headers.filter((header) => header.how === how)
  const { querySet, queryRemove, remove, responseHeaders, metadata } = answer
  const isSame = querySet.length + queryRemove.length === 0
  const path = isSame ? undefined : changedPath(call.request.path, querySet, queryRemove)
  return {
    kind: 'allow',
    ...{ set: by('set'), append: by('append'), addIfAbsent: by('addIfAbsent') },
    ...{ remove, responseHeaders, metadata },
    ...(path === undefined ? {} : { path }),
  }
}

function changedPath(
  path: string,
  set: readonly { readonly name: string; readonly value: string }[],
  remove: readonly string[],
): string {
  const [base = '', query = ''] = path.split(/\?(.*)/s, 2)
  const parameters = new URLSearchParams(query)
  for (const name of remove) parameters.delete(name)
  for (const { name, value } of set) parameters.set(name, value)
  const text = parameters.toString()
  return text === '' ? base : `${base}?${text}`
}

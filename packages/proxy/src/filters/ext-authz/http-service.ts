/**
 * The authorization service over HTTP: it gets the request's method, path and some fields. 200
 * allows, 5xx is a failure of the service, everything else is the answer for the client.
 */
import type { IncomingMessage } from 'node:http'
import type { AuthorizationService, HeaderValue, StringMatch } from '@weft/model'
import { FIRST_PICK, TextMatcher } from '@weft/traffic'
import { towards } from '../../tls/connect-upstream.ts'
import { agentFor, http } from './agents.ts'
import { type Asking, type Decision, shownFields } from './decision.ts'

type HttpService = Extract<AuthorizationService, { kind: 'http' }>

/** The service's own word for the client; a page, not a download. */
const MAX_ANSWER_BYTES = 65_536
/** What it always sees, as in Envoy. */
const ALWAYS_SHOWN = new Set(['authorization'])
/** Frames our question, not the client's. */
const NEVER_SHOWN = new Set([
  ...['connection', 'content-length', 'transfer-encoding', 'upgrade', 'te', 'trailer', 'host'],
  ...['keep-alive', 'proxy-connection', 'expect', 'accept-encoding'],
])
/** What the client gets whatever the list says. */
const CLIENT_ALWAYS = new Set([
  'www-authenticate',
  'location',
  'content-type',
  'proxy-authenticate',
])
const HOP_BY_HOP = new Set([
  ...['connection', 'content-length', 'transfer-encoding', 'keep-alive', 'date', 'server'],
  ...['proxy-connection', 'te', 'trailer', 'upgrade'],
])
const REMOVE = 'x-envoy-auth-headers-to-remove'

/** @returns Cancels. */
export function askHttp(
  asking: Asking,
  body: Buffer | undefined,
  done: (decision: Decision) => void,
): () => void {
  const { service, timeoutMs } = asking.authorization
  const { runtime, deps } = asking.scope
  const cluster = runtime.clusters.get(service.cluster)
  const endpoint = cluster?.pick(FIRST_PICK)?.endpoint
  if (service.kind !== 'http' || cluster === undefined || endpoint === undefined) {
    done({ kind: 'error' })
    return () => {}
  }
  const { request } = asking.call
  let open = true
  const end = (decision: Decision): void => {
    if (!open) return
    open = false
    cancelTimer()
    done(decision)
  }
  const cancelTimer = deps.clock.after(timeoutMs, () => {
    end({ kind: 'error' })
    sent.destroy()
  })
  const { address } = endpoint
  const sent = http().request({
    agent: agentFor(towards(cluster.model, endpoint), deps),
    host: address.host,
    port: address.port,
    method: request.method,
    path: `${service.pathPrefix}${request.path}`,
    headers: questionHeaders(service, asking, body),
  })
  sent.on('response', (answer) => readAnswer(answer, service, end))
  sent.on('error', () => end({ kind: 'error' }))
  sent.end(body)
  return () => {
    open = false
    cancelTimer()
    sent.destroy()
  }
}

function questionHeaders(service: HttpService, asking: Asking, body: Buffer | undefined) {
  const { call, shown } = asking
  const isShown = (name: string) =>
    !NEVER_SHOWN.has(name) && (ALWAYS_SHOWN.has(name) || shown?.(name) === true)
  const extra = service.extraHeaders.map(({ name, value }) => [name, value] as const)
  return {
    ...shownFields(asking, isShown),
    ...Object.fromEntries(extra),
    host: call.request.authority,
    'content-length': String(body?.length ?? 0),
  }
}

function readAnswer(
  answer: IncomingMessage,
  service: HttpService,
  end: (decision: Decision) => void,
): void {
  const parts: Buffer[] = []
  let length = 0
  answer.on('data', (part: Buffer) => {
    length += part.length
    if (length <= MAX_ANSWER_BYTES) parts.push(part)
    else {
      end({ kind: 'error' })
      answer.destroy()
    }
  })
  answer.on('error', () => end({ kind: 'error' }))
  answer.on('aborted', () => end({ kind: 'error' }))
  answer.on('end', () => end(decisionOf(answer, Buffer.concat(parts).toString('utf8'), service)))
}

function decisionOf(answer: IncomingMessage, body: string, service: HttpService): Decision {
  const { statusCode: status = 500 } = answer
  const headers = headersOf(answer)
  if (status >= 500) return { kind: 'error' }
  if (status !== 200) {
    const { clientHeaders } = service
    const isShown = clientHeaders.length === 0 ? () => true : anyOf(clientHeaders)
    const shown = headers.filter(({ name }) => CLIENT_ALWAYS.has(name) || isShown(name))
    return { kind: 'deny', status, headers: shown, body, metadata: undefined }
  }
  const by = (matches: readonly StringMatch[]) => {
    const isListed = anyOf(matches)
    return headers.filter(({ name }) => isListed(name))
  }
  return {
    kind: 'allow',
    set: by(service.upstreamHeaders),
    append: by(service.appendedUpstreamHeaders),
    addIfAbsent: [],
    remove: headers.flatMap(({ name, value }) => (name === REMOVE ? namesIn(value) : [])),
    responseHeaders: by(service.clientHeadersOnSuccess),
    metadata: undefined,
  }
}

function namesIn(list: string): readonly string[] {
  return list
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '')
}

function headersOf({ rawHeaders }: IncomingMessage): readonly HeaderValue[] {
  const headers: HeaderValue[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase()
    if (!HOP_BY_HOP.has(name)) headers.push({ name, value: rawHeaders[i + 1] ?? '' })
  }
  return headers
}

const matchers = new WeakMap<readonly StringMatch[], (name: string) => boolean>()

function anyOf(matches: readonly StringMatch[]): (name: string) => boolean {
  const known = matchers.get(matches)
  if (known !== undefined) return known
  const compiled = matches.map((match) => new TextMatcher(match, 'ext_authz headers'))
  const matcher = (name: string) => compiled.some((one) => one.matches(name))
  matchers.set(matches, matcher)
  return matcher
}

/**
 * Services that speak RSocket, for callers that speak HTTP: `POST /api/<service>/<method>` with
 * the data as the body is a request/response; with `Accept: text/event-stream` it is a stream
 * whose items come as server-sent events. Group and version stand in the query, a deadline in
 * `rsocket-timeout`, an instance in `x-endpoint`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  METADATA_ID,
  type RSocketPayload,
  type RSocketPeer,
  type RSocketStream,
  type RSocketStreamHandler,
  renderBearer,
  renderComposite,
  renderMimes,
  renderRoutingTags,
} from '@weft/wire'
import { answerOfError } from './status-of-error.ts'

const PATH = /^\/api\/([A-Za-z0-9_.$-]{1,200})\/([A-Za-z0-9_$-]{1,200})$/
const NAME = /^[A-Za-z0-9_.-]{1,64}$/
const EVENT_STREAM = 'text/event-stream'
/** A frame has room for this and its metadata. */
const MAX_BODY_BYTES = 0xff_ff_ff - 0x1_00_00
/** Items that may be under way to a reader. */
const WINDOW = 64

/** False: the request is not of this form, and somebody else's. */
export function isApiRequest({ url = '' }: IncomingMessage): boolean {
  return PATH.test(pathOf(url))
}

/** @param peer Whom to ask; undefined: nobody can be asked now. */
export function serveApi(
  request: IncomingMessage,
  response: ServerResponse,
  peer: RSocketPeer | undefined,
): void {
  const metadata = metadataOf(request)
  if (request.method !== 'POST') refuse(response, 405, 'the gateway takes POST', { allow: 'POST' })
  else if (typeof metadata === 'string') refuse(response, 400, metadata)
  else if (peer === undefined) refuse(response, 503, 'WEFT-503 no connection to a broker')
  else {
    readBody(request, response, (data) => {
      const payload = { data, metadata }
      const wantsStream = (request.headers.accept ?? '').includes(EVENT_STREAM)
      const answer = wantsStream ? streamed(response) : single(response)
      const interaction = wantsStream ? 'stream' : 'rr'
      const stream = peer.request(interaction, payload, answer.handler, { initialN: WINDOW })
      answer.begin(stream)
      response.once('close', () => {
        if (!answer.isOver && !stream.closed) stream.cancel()
      })
    })
  }
}

function pathOf(url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}

/** A text says what cannot be used. */
function metadataOf({ url = '', headers }: IncomingMessage): Buffer | string {
  const [, service = '', method = ''] = PATH.exec(pathOf(url)) ?? []
  const query = new URLSearchParams(url.slice(pathOf(url).length))
  const group = query.get('group') ?? ''
  const version = query.get('version') ?? ''
  for (const [name, value] of [
    ['group', group],
    ['version', version],
  ] as const) {
    if (value !== '' && !NAME.test(value)) return `the ${name} must be of letters, digits, . _ -`
  }
  const key = `${group && `${group}!`}${service}.${method}${version && `:${version}`}`
  const tags = [
    key,
    ...tag('e', headers['x-endpoint']),
    ...tag('timeout', headers['rsocket-timeout']),
    ...tag('traceparent', headers.traceparent),
  ]
  if (tags.some((each) => Buffer.byteLength(each) > 255)) return 'a tag is longer than 255 bytes'
  const token = /^Bearer (\S+)$/i.exec(headers.authorization ?? '')?.[1]
  const contentType = /^[\w.+-]+\/[\w.+-]+/.exec(headers['content-type'] ?? '')?.[0]
  const mime = contentType === undefined || contentType.length > 128 ? JSON_TYPE : contentType
  return renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags(tags) },
    { mime: METADATA_ID.dataMime, content: renderMimes([mime]) },
    ...(token === undefined
      ? []
      : [{ mime: METADATA_ID.authentication, content: renderBearer(token) }]),
  ])
}

const JSON_TYPE = 'application/json'

function tag(name: string, value: string | readonly string[] | undefined): string[] {
  return typeof value === 'string' && value !== '' ? [`${name}=${value}`] : []
}

function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  onBody: (data: Buffer) => void,
): void {
  const chunks: Buffer[] = []
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= MAX_BODY_BYTES) chunks.push(chunk)
    else if (!response.headersSent) {
      chunks.length = 0
      refuse(response, 413, `the body is longer than ${MAX_BODY_BYTES} bytes`)
    }
  })
  request.once('end', () => {
    if (!response.headersSent && !response.destroyed) onBody(Buffer.concat(chunks))
  })
  request.once('error', () => response.destroy())
}

interface ApiAnswer {
  readonly handler: RSocketStreamHandler
  isOver: boolean
  begin(stream: RSocketStream): void
}

function single(response: ServerResponse): ApiAnswer {
  const send = ({ data }: RSocketPayload) => {
    answer.isOver = true
    if (response.headersSent) return
    response.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': data.length })
    response.end(data)
  }
  const answer: ApiAnswer = {
    isOver: false,
    begin() {},
    handler: {
      ...IGNORED,
      onItem: send,
      onComplete: () => send({ data: Buffer.alloc(0) }),
      onError(code, message) {
        answer.isOver = true
        refuseAs(response, code, message)
      },
    },
  }
  return answer
}

const IGNORED = { onRequestN() {}, onCancel() {} }

function streamed(response: ServerResponse): ApiAnswer {
  let stream: RSocketStream | undefined
  let unasked = 0
  const ask = () => {
    if (unasked * 2 < WINDOW || response.writableNeedDrain || stream?.closed !== false) return
    stream.requestN(unasked)
    unasked = 0
  }
  const begin = () => {
    if (response.headersSent) return
    response.writeHead(200, { 'content-type': EVENT_STREAM, 'cache-control': 'no-cache' })
  }
  const end = () => {
    begin()
    answer.isOver = true
    response.end()
  }
  response.on('drain', ask)
  const answer: ApiAnswer = {
    isOver: false,
    begin(begun) {
      stream = begun
    },
    handler: {
      ...IGNORED,
      onItem({ data }, isLast) {
        begin()
        response.write(eventOf(undefined, data))
        unasked++
        if (isLast) end()
        else ask()
      },
      onComplete: end,
      onError(code, message) {
        answer.isOver = true
        if (!response.headersSent) refuseAs(response, code, message)
        else response.end(eventOf('error', Buffer.from(JSON.stringify({ code, message }))))
      },
    },
  }
  return answer
}

/** One event; each line of the data on a line of its own. */
function eventOf(name: string | undefined, data: Uint8Array): string {
  const lines = Buffer.from(data)
    .toString('utf8')
    .split(/\r\n|\r|\n/)
  const head = name === undefined ? '' : `event: ${name}\n`
  return `${head}${lines.map((line) => `data: ${line}\n`).join('')}\n`
}

function refuseAs(response: ServerResponse, code: number, message: string): void {
  const { status, isRetrySafe } = answerOfError(code, message)
  refuse(response, status, message, isRetrySafe ? { 'x-weft-retry-safe': '1' } : {})
}

function refuse(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return
  const body = Buffer.from(JSON.stringify({ status, message }))
  response.writeHead(status, {
    ...headers,
    'content-type': JSON_TYPE,
    'content-length': body.length,
  })
  response.end(body)
}

/**
 * RSocket requests that an HTTP application answers: what carries an HTTP message is that message,
 * anything else is `POST /<service>/<method>` with the data as the body.
 */
import { type Agent, request as askHttp, type ClientRequest, type IncomingMessage } from 'node:http'
import type { SocketAddress } from '@weft/model'
import {
  CompositeReader,
  type HttpRequestEntry,
  type HttpServerCall,
  METADATA_ID,
  openHttpServerCall,
  parseGsv,
  RSOCKET_ERROR,
  type RSocketPayload,
  type RSocketStream,
  readRoutingTags,
} from '@weft/wire'
import { forwardedFields, rawHeadersOf } from './fields.ts'

export interface CallHttpOptions {
  readonly application: SocketAddress
  /** Keeps connections to the application. */
  readonly agent: Agent
}

export function callHttp(
  stream: RSocketStream,
  payload: RSocketPayload,
  options: CallHttpOptions,
): void {
  const opened = openHttpServerCall(stream, payload)
  if (opened === undefined) callPlain(stream, payload, options)
  else relay(opened.head, opened.call, options)
}

function send(head: HttpRequestEntry, { application, agent }: CallHttpOptions): ClientRequest {
  return askHttp({
    agent,
    ...{ host: application.host, port: application.port, method: head.method, path: head.path },
    headers: ['host', head.authority, ...rawHeadersOf(head.fields)],
    setHost: false,
  })
}

function relay(head: HttpRequestEntry, call: HttpServerCall, options: CallHttpOptions): void {
  const request = send(head, options)
  let answer: IncomingMessage | undefined
  let isOver = false
  request.once('response', (response) => {
    answer = response
    call.head({ status: response.statusCode ?? 502, fields: forwardedFields(response.rawHeaders) })
    response.on('data', (chunk: Buffer) => {
      if (!call.write(chunk)) response.pause()
    })
    response.once('end', () => {
      isOver = true
      call.end(forwardedFields(response.rawTrailers))
    })
    response.once('error', () => call.fail(RSOCKET_ERROR.canceled, 'WEFT-502 the answer was cut'))
  })
  request.once('error', (error: NodeJS.ErrnoException) => {
    if (!isOver && answer === undefined) failed(call, error)
  })
  request.on('drain', () => call.resume())
  call.receive({
    onBody: (bytes) => request.write(bytes),
    onEnd(trailers) {
      if (trailers.length > 0) request.addTrailers(Object.fromEntries(trailers))
      request.end()
    },
    onWritable: () => void answer?.resume(),
    onAbort() {
      isOver = true
      request.destroy()
    },
  })
}

/** Nobody listens: then nothing was processed. */
function failed(call: HttpServerCall, { code }: NodeJS.ErrnoException): void {
  if (code === 'ECONNREFUSED') {
    call.fail(RSOCKET_ERROR.rejected, 'WEFT-503 the application does not listen')
  } else call.fail(RSOCKET_ERROR.canceled, 'WEFT-502 the application went away')
}

function callPlain(stream: RSocketStream, payload: RSocketPayload, options: CallHttpOptions): void {
  const key = routeOf(payload.metadata)
  if (key === undefined || stream.interaction === 'channel') {
    stream.fail(
      RSOCKET_ERROR.invalid,
      'an HTTP application takes requests with a route and no channels',
    )
    return
  }
  const { service, method } = parseGsv(key)
  const head: HttpRequestEntry = {
    method: 'POST',
    path: `/${service}/${method}`,
    authority: service.toLowerCase(),
    fields: [['content-length', String(payload.data.length)]],
  }
  const request = send(head, options)
  request.once('response', (response) => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    response.once('end', () => {
      const body = Buffer.concat(chunks)
      const status = response.statusCode ?? 502
      if (status >= 400)
        stream.fail(
          RSOCKET_ERROR.applicationError,
          `HTTP ${status} ${body.toString('utf8', 0, 1024)}`,
        )
      else if (stream.maySend && stream.credit > 0) stream.next({ data: body }, true)
    })
  })
  request.once('error', (error) => stream.fail(RSOCKET_ERROR.canceled, `WEFT-502 ${error.message}`))
  request.end(payload.data)
}

function routeOf(metadata: Uint8Array | undefined): string | undefined {
  if (metadata === undefined) return undefined
  const reader = new CompositeReader().start(metadata, 0, metadata.length)
  return reader.find(METADATA_ID.routing) ? readRoutingTags(reader.content)?.[0] : undefined
}

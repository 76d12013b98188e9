/**
 * A proxy on an ADS stream, for tests: asks for the trust bundle by bytes written by hand, and
 * acknowledges it or not.
 */
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'

const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const SECRET = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret'
const BUNDLE = 'ROOTCA'

export interface NodeFacts {
  readonly id: string
  /** Texts of the metadata. */
  readonly metadata?: Readonly<Record<string, string>>
}

export interface XdsStream {
  /** gRPC's status; resolves when the stream ends. */
  readonly ended: Promise<number>
  /** Resolves with the next response, not acknowledged yet. */
  next(): Promise<Buffer>
  /** Of the response that came last. */
  acknowledge(): void
  /** For everything of another type too. */
  ask(typeUrl: string): void
  close(): void
}

export function openXds(session: ClientHttp2Session, node: NodeFacts, token?: string): XdsStream {
  const stream = session.request({
    ':method': 'POST',
    ':path': PATH,
    'content-type': 'application/grpc',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  })
  const waiting: ((response: Buffer) => void)[] = []
  const responses: Buffer[] = []
  let nonce = ''
  let pending = Buffer.alloc(0)
  stream.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
      const end = 5 + pending.readUInt32BE(1)
      const response = pending.subarray(5, end)
      pending = pending.subarray(end)
      nonce = nonceOf(response)
      const waiter = waiting.shift()
      if (waiter === undefined) responses.push(response)
      else waiter(response)
    }
  })
  send(stream, [message(1, nodeBytes(node)), text(2, SECRET), text(3, BUNDLE)])
  return {
    ended: endOf(stream),
    next() {
      const [first] = responses.splice(0, 1)
      if (first !== undefined) return Promise.resolve(first)
      return new Promise((resolve) => waiting.push(resolve))
    },
    ask: (typeUrl) => send(stream, [text(2, typeUrl), text(3, '*')]),
    acknowledge: () => send(stream, [text(2, SECRET), text(6, nonce)]),
    close: () => stream.close(),
  }
}

/** The stream itself stays half open: we do not end our side. */
function endOf(stream: ClientHttp2Stream): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>()
  const take = (fields: Record<string, unknown>) => {
    const status = fields['grpc-status']
    if (status !== undefined) resolve(Number(status))
  }
  stream.on('response', take)
  stream.on('trailers', take)
  stream.on('error', () => {})
  stream.on('close', () => resolve(-1))
  return promise
}

function send(stream: ClientHttp2Stream, parts: readonly Buffer[]): void {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 1)
  stream.write(Buffer.concat([head, body]))
}

function nodeBytes({ id, metadata = {} }: NodeFacts): Buffer {
  const fields = Object.entries(metadata).map(([name, value]) =>
    message(1, Buffer.concat([text(1, name), message(2, text(3, value))])),
  )
  return Buffer.concat([text(1, id), message(3, Buffer.concat(fields))])
}

function message(number: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(body.length)]), body])
}

function text(number: number, value: string): Buffer {
  return message(number, Buffer.from(value))
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)]
}

/** Field 5 of a `DeltaDiscoveryResponse`, short by nature. */
function nonceOf(response: Buffer): string {
  let at = 0
  while (at < response.length) {
    const tag = response[at++] ?? 0
    let length = 0
    let shift = 0
    for (;;) {
      const byte = response[at++] ?? 0
      length |= (byte & 0x7f) << shift
      shift += 7
      if (byte < 0x80) break
    }
    if (tag >> 3 === 5) return response.toString('utf8', at, at + length)
    at += length
  }
  return ''
}

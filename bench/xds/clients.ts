/**
 * Thousands of proxies in one process, as cheap as they can be: each is a TCP connection with
 * one Delta stream that subscribes to what a sidecar subscribes to, and acknowledges.
 *
 * Started by `run.ts`, which measures its own process only; told what to do by messages.
 */
import { connect } from 'node:http2'

export interface Command {
  readonly port: number
  /** Number of the first. */
  readonly from: number
  readonly count: number
}

const METHOD = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources'
const TYPES = [
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'envoy.config.listener.v3.Listener',
  'envoy.config.route.v3.RouteConfiguration',
].map((name) => `type.googleapis.com/${name}`)
const NAMES = ['*', 'a', '*', 'r']
/** New connections at the same time: the listen queue of a Linux machine is not endless. */
const BATCH = 100

process.on('message', async (command: Command) => {
  const { port, count } = command
  for (let done = 0; done < count; done += BATCH) {
    const batch = Math.min(BATCH, count - done)
    const from = command.from + done
    await Promise.all(Array.from({ length: batch }, (_, i) => openClient(port, from + i)))
  }
  process.send?.('connected')
})

// However the benchmark ends, nothing of it stays.
process.on('disconnect', () => process.exit())

function openClient(port: number, index: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port}`)
    session.on('error', reject)
    const stream = session.request({
      ':method': 'POST',
      ':path': METHOD,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    stream.on('error', reject)
    let buffered: Buffer = Buffer.alloc(0)
    let answered = 0
    stream.on('data', (chunk: Buffer) => {
      buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk])
      while (buffered.length >= 5) {
        const end = 5 + buffered.readUInt32BE(1)
        if (buffered.length < end) return
        stream.write(message(ack(buffered.subarray(5, end))))
        buffered = buffered.subarray(end)
        if (++answered === TYPES.length) resolve()
      }
    })
    for (const [at, typeUrl] of TYPES.entries()) {
      const node = at === 0 ? [field(1, Buffer.concat(nodeFields(index)))] : []
      stream.write(message(Buffer.concat([...node, text(2, typeUrl), text(3, NAMES[at] ?? '')])))
    }
  })
}

/** A node with `metadata {WEFT_KIND: weft}`. */
function nodeFields(index: number): Buffer[] {
  const kind = field(2, text(3, 'weft'))
  return [
    text(1, `proxy-${index}`),
    field(3, field(1, Buffer.concat([text(1, 'WEFT_KIND'), kind]))),
  ]
}

/** Type URL (4) and nonce (5) of a response, as those (2, 6) of a request. */
function ack(response: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < response.length; ) {
    const number = (response[at] ?? 0) >> 3
    let length = 0
    let shift = 0
    let byte = 0x80
    for (at++; byte >= 0x80; at++, shift += 7) {
      byte = response[at] ?? 0
      length |= (byte & 0x7f) << shift
    }
    if (number === 4) parts.push(field(2, response.subarray(at, at + length)))
    if (number === 5) parts.push(field(6, response.subarray(at, at + length)))
    at += length
  }
  return Buffer.concat(parts)
}

function message(bytes: Buffer): Buffer {
  const prefix = Buffer.alloc(5)
  prefix.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([prefix, bytes])
}

function text(number: number, value: string): Buffer {
  return field(number, Buffer.from(value))
}

function field(number: number, bytes: Buffer): Buffer {
  if (bytes.length > 127) throw new Error(`Cannot write field ${number}: it is too long`)
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes])
}

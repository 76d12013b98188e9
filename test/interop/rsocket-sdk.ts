/** Weft's own SDK as a program that dials a broker. */
import {
  connect,
  type Handler,
  type Message,
  type RSocketClient,
  RSocketError,
} from '@weft/rsocket'
import {
  CHANNEL_ITEMS,
  type DialOptions,
  errorText,
  FAIL,
  FAILURE,
  METHOD,
  type Program,
  type ProgramKind,
  STREAM_ITEMS,
} from './rsocket-program.ts'

export const sdk: ProgramKind = {
  name: '@weft/rsocket',
  skip: false,
  // Its leases follow its event loop and are renewed as they are used.
  grantsLeases: false,
  sendsFragments: false,
  async dial(options) {
    const { carrier, port, caPem, services, namespace, labels, token } = options
    const methods = { [METHOD]: handlerOf(options) }
    return programOf(
      await connect({
        brokers: `${carrier}://127.0.0.1:${port}`,
        links: 1,
        app: options.app ?? 'program',
        dataMime: 'text/plain',
        lease: options.leaseRequests !== undefined,
        services: Object.fromEntries(services.map((service) => [service, methods])),
        tls: { ca: caPem, serverName: 'localhost' },
        ...(namespace === undefined ? {} : { namespace }),
        ...(labels === undefined ? {} : { labels }),
        ...(token === undefined ? {} : { token }),
      }),
    )
  },
}

function handlerOf({ onFireAndForget, answer }: DialOptions): Handler {
  return async (request) => {
    const { interaction, items } = request
    const data = request.text()
    if (interaction === 'fnf') onFireAndForget?.(data)
    if (data === FAIL) throw new RSocketError('APPLICATION_ERROR', FAILURE)
    if (interaction === 'rr' && answer !== undefined) return answer(data)
    if (interaction === 'channel') return echo(items)
    return interaction === 'stream' ? repeated(data) : data
  }
}

async function* echo(items: AsyncIterable<Message>) {
  for await (const item of items) yield item.text()
}

function* repeated(data: string) {
  for (let sent = 0; sent < STREAM_ITEMS; sent++) yield data
}

/** What came, the error last. */
async function collect(messages: () => AsyncIterable<Message>): Promise<string[]> {
  const items: string[] = []
  try {
    for await (const message of messages()) items.push(message.text())
  } catch (error) {
    if (!(error instanceof RSocketError)) throw error
    items.push(errorText(error.code, error.message))
  }
  return items
}

function programOf(client: RSocketClient): Program {
  /** Asks `service.method` and gives the answers. */
  const target = (key: string): [service: string, method: string] => {
    const dot = key.lastIndexOf('.')
    return [key.slice(0, dot), key.slice(dot + 1)]
  }
  return {
    response: (key, data) =>
      collect(async function* () {
        yield await client.requestResponse(...target(key), data)
      }),
    // It asks for as many as it has room for, and for more as they are consumed.
    stream: (key, data) => collect(() => client.requestStream(...target(key), data)),
    first: (key, data) =>
      collect(async function* () {
        for await (const message of client.requestStream(...target(key), data)) {
          yield message
          return
        }
      }),
    channel(key, data) {
      const items = Array.from({ length: CHANNEL_ITEMS }, (_, at) => `${data}${at}`)
      return collect(() => client.requestChannel(...target(key), items))
    },
    fireAndForget: (key, data) => void client.fireAndForget(...target(key), data),
    close: () => void client.close(0),
  }
}

/**
 * What the interop matrix asks of a client: it dials a broker as a program, in both roles, asks in
 * the four ways, and answers requests with their data, streams with 200 such items. A request/response
 * whose data is `fail` fails.
 */
import { HELLO_MIME } from '@weft/broker'
import {
  COMPOSITE_MIME,
  METADATA_ID,
  renderBearer,
  renderComposite,
  renderRoutingTags,
} from '@weft/wire'

export const CARRIERS = ['tcp', 'ws', 'tls'] as const
export type Carrier = (typeof CARRIERS)[number]

export interface DialOptions {
  readonly carrier: Carrier
  readonly port: number
  /** Of the broker's certificate. */
  readonly caPem: string
  readonly services: readonly string[]
  /** Default: `program` in `default`. */
  readonly app?: string
  readonly namespace?: string
  /** Default: another one each time. */
  readonly instance?: string
  readonly labels?: Readonly<Record<string, string>>
  /** What request/response is answered with; default: its own data. npm only. */
  readonly answer?: (data: string) => string | Promise<string>
  readonly onFireAndForget?: (data: string) => void
  /** A bearer token, shown in SETUP. */
  readonly token?: string
  /** The broker's certificate is one of the mesh, which has no DNS name. npm only. */
  readonly isSvid?: boolean
  /** Shown in TLS. 1.0.0-alpha.3 only. */
  readonly certPem?: string
  readonly keyPem?: string
  /** SETUP has L: how many requests it grants, once, for an hour. 0: it only honours leases. */
  readonly leaseRequests?: number
  /** Whether its hello says that it takes events. */
  readonly takesEvents?: boolean
  /** Whether it says that it can be asked for its metrics. */
  readonly hasMetrics?: boolean
  /** Sends payloads in frames of so many bytes, 64 or more; default: as each likes. Not 0.0.27. */
  readonly fragmentBytes?: number
  /** Asks for resumption. npm only. */
  readonly resumeToken?: string
  /** Comes back after each loss; 0.0.27 leaves that to its owner. */
  readonly comesBack?: boolean
}

/** Asks for `key`; answers are texts in order, an error is `#code message`. */
export interface Program {
  response(key: string, data: string): Promise<string[]>
  stream(key: string, data: string, initialN: number): Promise<string[]>
  /** Asks for one item of a stream, and gives the stream up when it has come. */
  first(key: string, data: string): Promise<string[]>
  /** Sends three items, `data`0 to `data`2, and collects what comes back. */
  channel(key: string, data: string): Promise<string[]>
  fireAndForget(key: string, data: string): void
  close(): void
}

export interface ProgramKind {
  readonly name: string
  /** Why it cannot run here, or false. */
  readonly skip: string | false
  readonly grantsLeases: boolean
  readonly sendsFragments: boolean
  dial(options: DialOptions): Promise<Program>
}

/** The one that every service has. */
export const METHOD = 'method'
export const FAIL = 'fail'
export const FAILURE = 'told to'
/** More than brokers grant at once. */
export const STREAM_ITEMS = 200
export const CHANNEL_ITEMS = 3
/** As the programs say them in SETUP. */
const PERIODS = { keepAlive: 20_000, lifetime: 90_000 } as const

let instances = 0

export function setupMetadata(options: DialOptions): Buffer {
  const { services, app = 'program', namespace = 'default', labels = {} } = options
  const hello = {
    v: 1,
    instance: options.instance ?? `program-${++instances}`,
    app,
    ns: namespace,
    labels,
    services: services.map((name) => ({ name })),
    features: [
      ...(options.takesEvents === true ? ['mpush'] : []),
      ...(options.hasMetrics === true ? ['metrics'] : []),
    ],
  }
  const entries = [{ mime: HELLO_MIME, content: Buffer.from(JSON.stringify(hello)) }]
  const { token } = options
  if (token === undefined) return renderComposite(entries)
  const credentials = { mime: METADATA_ID.authentication, content: renderBearer(token) }
  return renderComposite([...entries, credentials])
}

/** What both generations of npm say in SETUP. */
export function setupOptions(options: DialOptions) {
  return {
    payload: { data: Buffer.alloc(0), metadata: setupMetadata(options) },
    metadataMimeType: COMPOSITE_MIME,
    dataMimeType: 'text/plain',
    ...PERIODS,
  }
}

export function routed(key: string, data: string) {
  const content = renderRoutingTags([key])
  return {
    data: Buffer.from(data),
    metadata: renderComposite([{ mime: METADATA_ID.routing, content }]),
  }
}

export function text(data: Uint8Array | null | undefined): string {
  return Buffer.from(data ?? new Uint8Array(0)).toString()
}

export function errorText(code: number | undefined, message: string): string {
  return `#${code?.toString(16)} ${message}`
}

/** What `answer` says to `data`, as bytes. */
export async function answered(
  answer: (data: string) => string | Promise<string>,
  data: string,
): Promise<Buffer> {
  return Buffer.from(await answer(data))
}

/** A call that nobody makes, in the form in which filters see one. */
import type { RequestView } from '@weft/model'
import type { TlsFacts } from '@weft/net'
import { MessageHead, parseRequestHead } from '@weft/wire'
import { ExchangeFacts } from '../exchange/exchange-facts.ts'
import { type FieldChanges, RequestChanges } from '../exchange/request-changes.ts'
import type { FilterCall } from '../filters/http-filter.ts'

export interface ImaginedCall {
  readonly sourceIp: string
  readonly destinationIp: string
  readonly destinationPort: number
  /** Asked for in the TLS handshake. */
  readonly serverName?: string
  /** URI names of the verified certificate; absent: there is none. */
  readonly principals?: readonly string[]
  /** Absent: a connection of which nothing else is known. */
  readonly request?: ImaginedRequest
}

export interface ImaginedRequest {
  readonly method: string
  readonly scheme: RequestView['scheme']
  readonly authority: string
  /** With query. */
  readonly path: string
  /** By lower-case name, each with its lines. */
  readonly fields: ReadonlyMap<string, readonly string[]>
}

const MAX_HEAD_BYTES = 61_440

/** Whether the parser of the wire takes the method, the path and the host at all. */
export function isReadable({ method, path, authority }: ImaginedRequest): boolean {
  const bytes = Buffer.from(
    `${method} ${path} HTTP/1.1\r\nhost: ${authority || 'none'}\r\n\r\n`,
    'utf8',
  )
  return parseRequestHead(new MessageHead(), bytes, 0, bytes.length, MAX_HEAD_BYTES) > 0
}

/** What filters get, and what they changed about it so far. */
export class ImaginedExchange {
  readonly call: FilterCall
  readonly #changes = new RequestChanges()
  readonly #fields: ReadonlyMap<string, readonly string[]>
  #path: string

  /** @param path Canonical. */
  constructor(call: ImaginedCall, request: ImaginedRequest, path: string) {
    this.#path = path
    this.#fields = request.fields
    const lines = (name: string) => this.#changes.lines(name) ?? request.fields.get(name) ?? []
    const pathNow = () => this.#path
    const view: RequestView = {
      method: request.method,
      scheme: request.scheme,
      authority: request.authority,
      get path() {
        return pathNow()
      },
      header: (name) => (lines(name).length === 0 ? undefined : lines(name).join(',')),
    }
    this.call = {
      request: view,
      remoteHost: call.sourceIp,
      principal: call.principals?.[0],
      contentLength: 0,
      connection: this,
      peer: {
        remote: { host: call.sourceIp, port: 0 },
        local: { host: call.destinationIp, port: call.destinationPort },
        protocol: 'HTTP/1.1',
        requestId: '',
        tls: tlsFactsOf(call),
      },
      facts: new ExchangeFacts(),
      fieldNames: () => [...new Set([...request.fields.keys(), ...this.#changes.names])],
      fieldLines: (name) => (name === 'host' ? [request.authority] : lines(name)),
      whenBody(_maxBytes, use) {
        use({ bytes: Buffer.alloc(0), isComplete: true })
        return () => {}
      },
    }
  }

  change(changes: FieldChanges): void {
    this.#changes.add(changes, (name) => this.#fields.get(name) ?? [])
    if (changes.path !== undefined) this.#path = changes.path
  }
}

function tlsFactsOf({ serverName, principals }: ImaginedCall): TlsFacts | undefined {
  if (serverName === undefined && principals === undefined) return undefined
  return {
    alpn: undefined,
    serverName: serverName?.toLowerCase(),
    version: 'TLSv1.3',
    cipher: '',
    resumed: false,
    localUriSans: [],
    peer:
      principals === undefined
        ? undefined
        : {
            raw: Buffer.alloc(0),
            uriSans: principals,
            dnsSans: [],
            emailSans: [],
            ipSans: [],
            subject: '',
            issuer: '',
            serial: '',
            fingerprint: '',
            validToMs: Number.POSITIVE_INFINITY,
          },
  }
}

/**
 * `extensionProviders` of MeshConfig that authorize requests. MeshConfig leaves the list open: what
 * cannot be read is kept with what is wrong, as policies that name it must deny.
 */
import { parseDurationMs } from '@weft/base'
import type { StringMatch } from '@weft/model'

export interface AuthorizationProvider {
  readonly name: string
  readonly kind: 'http' | 'grpc'
  /** `[<namespace>/]<host>`, as Istio writes it. */
  readonly service: string
  readonly port: number
  readonly timeoutMs: number
  readonly failOpen: boolean
  readonly clearRouteCache: boolean
  readonly statusOnError: number
  readonly requestBody?: {
    readonly maxBytes: number
    readonly allowPartial: boolean
    readonly asBytes: boolean
  }
  readonly pathPrefix: string
  readonly requestHeaders: readonly StringMatch[]
  readonly extraHeaders: readonly { readonly name: string; readonly value: string }[]
  readonly upstreamHeaders: readonly StringMatch[]
  readonly clientHeaders: readonly StringMatch[]
  readonly clientHeadersOnSuccess: readonly StringMatch[]
  /** Why it cannot be used; absent: it can. */
  readonly problem?: string
}

type Fields = Readonly<Record<string, unknown>>

/** Istio's 600 s would hold a request for ten minutes at a service that hangs. */
const DEFAULT_TIMEOUT_MS = 10_000
const FORBIDDEN = 403

export function authorizationProviders(list: unknown): readonly AuthorizationProvider[] {
  if (!Array.isArray(list)) return []
  const found = list.flatMap((entry) => provider(entry) ?? [])
  const names = found.map(({ name }) => name)
  return found.map((one) =>
    names.indexOf(one.name) === names.lastIndexOf(one.name)
      ? one
      : { ...one, problem: `there are several providers ${one.name}` },
  )
}

function provider(entry: unknown): AuthorizationProvider | undefined {
  const fields = fieldsOf(entry)
  const kind = fields.envoyExtAuthzHttp === undefined ? 'grpc' : 'http'
  const written = fields.envoyExtAuthzHttp ?? fields.envoyExtAuthzGrpc
  if (written === undefined) return undefined
  const own = fieldsOf(written)
  const status = Number(own.statusOnError ?? FORBIDDEN)
  const port = Number(own.port)
  const read: AuthorizationProvider = {
    name: textOf(fields.name),
    kind,
    service: textOf(own.service),
    port,
    timeoutMs: parseDurationMs(textOf(own.timeout)) ?? DEFAULT_TIMEOUT_MS,
    failOpen: own.failOpen === true,
    clearRouteCache: own.clearRouteCache === true,
    statusOnError: status,
    pathPrefix: textOf(own.pathPrefix),
    requestHeaders: matches(own.includeRequestHeadersInCheck ?? own.includeHeadersInCheck),
    extraHeaders: Object.entries(fieldsOf(own.includeAdditionalHeadersInCheck)).map(
      ([name, value]) => ({ name: name.toLowerCase(), value: String(value) }),
    ),
    upstreamHeaders: matches(own.headersToUpstreamOnAllow),
    clientHeaders: matches(own.headersToDownstreamOnDeny),
    clientHeadersOnSuccess: matches(own.headersToDownstreamOnAllow),
    ...requestBody(own.includeRequestBodyInCheck),
  }
  const problem = problemOf(read)
  return problem === undefined ? read : { ...read, problem }
}

function problemOf(read: AuthorizationProvider): string | undefined {
  const { name, service, port, statusOnError, pathPrefix } = read
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) return `"${name}" is no name`
  if (service === '') return 'it has no service'
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return 'it has no port'
  if (!Number.isInteger(statusOnError) || statusOnError < 400 || statusOnError > 599) {
    return 'its statusOnError is no status of an error'
  }
  if (pathPrefix !== '' && !pathPrefix.startsWith('/')) return 'its pathPrefix has no leading slash'
  const all = [read.requestHeaders, read.upstreamHeaders, read.clientHeaders]
  const isStar = ({ kind, ...rest }: StringMatch) => kind !== 'regex' && rest.value === ''
  return all.flat().some(isStar) ? 'it lists headers as "*"' : undefined
}

function requestBody(written: unknown): Pick<AuthorizationProvider, 'requestBody'> {
  if (written === undefined) return {}
  const { maxRequestBytes, allowPartialMessage, packAsBytes } = fieldsOf(written)
  const maxBytes = Number(maxRequestBytes)
  if (!Number.isInteger(maxBytes) || maxBytes <= 0) return {}
  return {
    requestBody: {
      maxBytes,
      allowPartial: allowPartialMessage === true,
      asBytes: packAsBytes === true,
    },
  }
}

/** `a`, `a*` and `*a`. */
function matches(list: unknown): readonly StringMatch[] {
  if (!Array.isArray(list)) return []
  return list
    .filter((one) => typeof one === 'string')
    .map((text: string): StringMatch => {
      const ignoreCase = true
      if (text.startsWith('*')) return { kind: 'suffix', value: text.slice(1), ignoreCase }
      if (text.endsWith('*')) return { kind: 'prefix', value: text.slice(0, -1), ignoreCase }
      return { kind: 'exact', value: text, ignoreCase }
    })
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : {}
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** Fields of HTTP messages on their way over RSocket: names and values, hop-by-hop ones taken out. */

type Fields = readonly (readonly [name: string, value: string])[]

/** RFC 9110, section 7.6.1, and what older programs send. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Node's `rawHeaders` as pairs with lower-case names, without what is for one hop only. */
export function forwardedFields(rawHeaders: readonly string[]): [string, string][] {
  const fields: [string, string][] = []
  let nominated: Set<string> | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] as string).toLowerCase()
    const value = rawHeaders[i + 1] as string
    if (name === 'connection') nominated = new Set([...(nominated ?? []), ...nominatedBy(value)])
    else if (!HOP_BY_HOP.has(name)) fields.push([name, value])
  }
  if (nominated === undefined) return fields
  return fields.filter(([name]) => nominated.has(name) !== true)
}

function nominatedBy(value: string): string[] {
  return value.split(',').map((name) => name.trim().toLowerCase())
}

/**
 * What came over RSocket, on its way into a message of HTTP: whoever wrote it must not say how the
 * connection behind us is framed or kept.
 */
export function endToEnd(fields: Fields): Fields {
  const isForeign = ([name]: Fields[number]) => HOP_BY_HOP.has(name) || name === 'host'
  return fields.some(isForeign) ? fields.filter((field) => !isForeign(field)) : fields
}

/**
 * The length that a message says it has; undefined: it says none. Several that differ, or that are
 * no numbers, are `NaN` (RFC 9112, section 6.3).
 */
export function saidLength(fields: Fields): number | undefined {
  const said = fields.flatMap(([name, value]) => (name === 'content-length' ? [value] : []))
  const [first] = said
  if (first === undefined) return undefined
  const isOne = /^\d{1,15}$/.test(first) && said.every((value) => value === first)
  return isOne ? Number(first) : Number.NaN
}

/** As Node's `writeHead` and `request` take them: repeated names stay apart and in order. */
export function rawHeadersOf(fields: Fields): string[] {
  return fields.flat()
}

/** RFC 9110, section 9.2.2. */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PUT',
  'DELETE',
])

/** Whether sending it twice does no harm, by its method or because it carries a key for that. */
export function isIdempotent(method: string | undefined, key: unknown): boolean {
  return IDEMPOTENT.has(method ?? 'GET') || key !== undefined
}

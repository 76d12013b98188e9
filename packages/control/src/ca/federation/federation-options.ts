/** Which other trust domains are believed, and where their bundles are: what the operator wrote. */
import { parseSpiffeId, trustDomainProblem } from '@weft/model'

/** One trust domain beside the mesh's own (SPIFFE_Federation.md, § 5). */
export interface FederatedDomain {
  readonly trustDomain: string
  /** https; absent: `bundle` is all there is. */
  readonly bundleUrl?: string
  readonly profile: /** The server is known by name, to the system's authorities or these (PEM). */
    | { readonly kind: 'https_web'; readonly caPem?: string }
    /** The server is known by its SPIFFE ID, to the bundle known before. */
    | { readonly kind: 'https_spiffe'; readonly endpointId: string }
  /** SPIFFE bundle document to begin with. */
  readonly bundle?: string
}

type Fields = Readonly<Record<string, unknown>>

/**
 * A list of `{trustDomain, bundleUrl, profile, endpointSpiffeId, bundleFile, caFile}`.
 *
 * @param readText Of a file that the list names. @throws When it cannot be read.
 * @throws {Error} When something of it is wrong; the message says what and where.
 */
export function parseFederation(
  text: string,
  readText: (file: string) => string,
): readonly FederatedDomain[] {
  const list: unknown = parseJson(text)
  if (!Array.isArray(list)) throw new Error('must be a JSON list of trust domains')
  const domains = list.map((entry: unknown, index) => {
    try {
      return domainOf(fieldsOf(entry), readText)
    } catch (error) {
      throw new Error(`[${index}]: ${error instanceof Error ? error.message : String(error)}`)
    }
  })
  const names = domains.map(({ trustDomain }) => trustDomain)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new Error(`${twice} is there twice`)
  return domains
}

function domainOf(fields: Fields, readText: (file: string) => string): FederatedDomain {
  const trustDomain = textOf(fields, 'trustDomain') ?? ''
  const problem = trustDomainProblem(trustDomain)
  if (problem !== undefined) throw new Error(`trustDomain: ${problem}`)
  const bundleUrl = textOf(fields, 'bundleUrl')
  const bundleFile = textOf(fields, 'bundleFile')
  if (bundleUrl === undefined && bundleFile === undefined) {
    throw new Error('bundleUrl or bundleFile must say where the bundle is')
  }
  if (bundleUrl !== undefined && !isHttps(bundleUrl)) {
    throw new Error(`bundleUrl must be https without user and password, got ${bundleUrl}`)
  }
  const profile = profileOf(fields, readText)
  if (profile.kind === 'https_spiffe' && bundleFile === undefined) {
    throw new Error('https_spiffe needs bundleFile: by it the server is known the first time')
  }
  return {
    trustDomain,
    ...(bundleUrl === undefined ? {} : { bundleUrl }),
    profile,
    ...(bundleFile === undefined ? {} : { bundle: readText(bundleFile) }),
  }
}

function profileOf(fields: Fields, readText: (file: string) => string): FederatedDomain['profile'] {
  const kind = textOf(fields, 'profile') ?? 'https_web'
  if (kind === 'https_web') {
    const caFile = textOf(fields, 'caFile')
    return caFile === undefined ? { kind } : { kind, caPem: readText(caFile) }
  }
  if (kind !== 'https_spiffe') {
    throw new Error(`profile must be https_web or https_spiffe, got ${kind}`)
  }
  const endpointId = textOf(fields, 'endpointSpiffeId') ?? ''
  const parsed = parseSpiffeId(endpointId)
  if (!parsed.ok) throw new Error(`endpointSpiffeId: ${parsed.problem}`)
  return { kind, endpointId }
}

function isHttps(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password } = new URL(text)
  return protocol === 'https:' && username === '' && password === ''
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('is no JSON')
  }
}

function fieldsOf(value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw new Error('must be an object')
}

function textOf(fields: Fields, name: string): string | undefined {
  const value = fields[name]
  if (value === undefined || typeof value === 'string') return value
  throw new Error(`${name} must be a text`)
}

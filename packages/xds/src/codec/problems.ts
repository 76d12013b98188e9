/**
 * Why a resource must be refused.
 *
 * A data plane that ignores a field it does not know may do the opposite of what was
 * meant: an unknown matcher that is skipped matches everything (CVE-2022-21679). So
 * every decoder names the fields that it honours and those that change nothing a peer
 * or a user could rely on; whatever else is set is a problem, and the problem names it.
 */
import { type DescField, type DescMessage, isFieldSet, type Message } from '@bufbuild/protobuf'

export class Problems {
  readonly #texts: string[] = []

  add(path: string, text: string): void {
    // A resource with thousands of bad routes needs no thousand lines: Envoy cuts at 4096 bytes.
    if (this.#texts.length < MAX_PROBLEMS) this.#texts.push(`${path}: ${text}`)
  }

  get texts(): readonly string[] {
    return this.#texts
  }
}

const MAX_PROBLEMS = 20

/** The fields of a message that a decoder does not handle, found once per decoder. */
export interface Coverage<Desc extends DescMessage> {
  readonly schema: Desc
  readonly others: readonly DescField[]
}

/** @param fields Proto names of all fields that are honoured, or harmless to ignore. */
export function covers<Desc extends DescMessage>(
  schema: Desc,
  ...fields: readonly string[]
): Coverage<Desc> {
  for (const name of fields) {
    if (!schema.fields.some((field) => field.name === name)) {
      throw new Error(`Cannot cover ${schema.typeName}: it has no field ${name}`)
    }
  }
  return { schema, others: schema.fields.filter((field) => !fields.includes(field.name)) }
}

/** What decides who may do what, or whom a rule is for: to leave out a part of it is to widen it. */
const STRICT =
  /(\.rbac\.v3\.|\.jwt_authn\.v3\.|\.ext_authz\.v3\.|\.csrf\.v3\.|\.transport_sockets\.tls\.v3\.|^envoy\.type\.matcher\.|\.route\.v3\.(RouteMatch|HeaderMatcher|QueryParameterMatcher|FilterConfig)|\.listener\.v3\.FilterChainMatch)/

/**
 * Reports what is set outside of `coverage`. A field newer than our protos is a problem in what
 * decides (R54), however deep; elsewhere it is left out, as Envoy does, so that a newer control
 * plane can speak to this proxy (U2).
 */
export function refuseOthers(
  coverage: Coverage<DescMessage>,
  message: Message,
  path: string,
  problems: Problems,
): void {
  for (const field of coverage.others) {
    if (isFieldSet(message, field)) problems.add(`${path}.${field.name}`, 'is not supported')
  }
  const newer = STRICT.test(message.$typeName) ? newerField(message) : undefined
  if (newer !== undefined) problems.add(path, newer)
}

/** The first field anywhere inside that our protos do not have. */
function newerField(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return undefined
  if ('$typeName' in value) {
    const { $typeName, $unknown = [] } = value as Message
    const [unknown] = $unknown
    if (unknown !== undefined) return `field number ${unknown.no} of ${$typeName} is not known`
  }
  for (const inner of Object.values(value)) {
    const found = newerField(inner)
    if (found !== undefined) return found
  }
  return undefined
}

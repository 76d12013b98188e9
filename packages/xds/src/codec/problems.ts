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

/** Reports what is set outside of `coverage`, including fields newer than our protos. */
export function refuseOthers(
  coverage: Coverage<DescMessage>,
  message: Message,
  path: string,
  problems: Problems,
): void {
  for (const field of coverage.others) {
    if (isFieldSet(message, field)) problems.add(`${path}.${field.name}`, 'is not supported')
  }
  const [unknown] = message.$unknown ?? []
  if (unknown !== undefined) {
    problems.add(`${path}`, `field number ${unknown.no} of ${message.$typeName} is not known`)
  }
}

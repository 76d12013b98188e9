/** One object, from raw value to document or problems: the layers of validation in their order. */

import { findIdle, IDLE_FIELDS } from './acted-on.ts'
import type { Document, DocumentOf, DocumentType, ObjectMeta } from './document.ts'
import { replacementsFor } from './envoy-filter-recipes.ts'
import { KINDS, type KindDefinition, typeOf } from './kinds/catalog.ts'
import { metadata as metadataSchema } from './kinds/metadata.ts'
import type { ParsedObject, SkippedObject } from './parse.ts'
import type { ObjectRef, Problem, Severity } from './problem.ts'
import type { ProblemCode } from './problem-codes.ts'
import { MESH_CONFIG_MAP, readMeshConfig } from './read-mesh-config.ts'
import { checkMetadata } from './rules/metadata.ts'
import type { Findings } from './rules/rules.ts'
import { checkSchema, type SchemaFinding } from './schema/check.ts'
import { nearest } from './schema/suggest.ts'
import { childPath, findPlace, type LineIndex, offsetOf, type Place } from './text/places.ts'

export interface RawObject {
  readonly value: unknown
  readonly place: Place
  readonly file: string
  readonly lines: LineIndex
  readonly defaultNamespace: string
}

export type Judged =
  | { readonly kind: 'object'; readonly object: ParsedObject }
  | { readonly kind: 'skipped'; readonly skipped: SkippedObject }
  | { readonly kind: 'notAnObject'; readonly problem: Problem }

export function judgeObject(raw: RawObject): Judged {
  const { value, file } = raw
  const { line } = raw.lines.positionOf(raw.place.at)
  if (!isRecord(value))
    return notAnObject(raw, '', 'must be a Kubernetes object with apiVersion, kind and metadata')
  const { apiVersion, kind } = value
  if (typeof kind !== 'string' || kind === '')
    return notAnObject(raw, 'kind', 'kind is required, e.g. VirtualService')
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    return notAnObject(raw, 'apiVersion', 'apiVersion is required, e.g. networking.istio.io/v1')
  }
  const [group, version] = splitApiVersion(apiVersion)
  const type = typeOf(group, kind)
  const object = refOf(value, apiVersion, kind, type, raw.defaultNamespace)
  if (type === undefined) {
    const wrong = misspelt(group, kind)
    if (wrong !== undefined) return notAnObject(raw, wrong.path, wrong.message, wrong.suggestion)
    return {
      kind: 'skipped',
      skipped: { object, file, line, note: skippedNote(kind, value) },
    }
  }
  const judge = new ObjectJudge(raw, object, line)
  return { kind: 'object', object: judge.judge(type, KINDS[type], version, value) }
}

function skippedNote(kind: string, value: Readonly<Record<string, unknown>>): string {
  const why = kind === 'UDPRoute' ? ': datagrams are not proxied' : ''
  const note = `kind ${kind} is not read by the mesh${why}`
  if (kind !== 'EnvoyFilter') return note
  const fields = replacementsFor(value.spec)
  return fields.length === 0 ? note : `${note}; write ${fields.join(', ')} in its place`
}

class ObjectJudge {
  readonly #raw: RawObject
  readonly #ref: ObjectRef
  readonly #line: number
  readonly #problems: Problem[] = []

  constructor(raw: RawObject, ref: ObjectRef, line: number) {
    this.#raw = raw
    this.#ref = ref
    this.#line = line
  }

  judge(
    type: DocumentType,
    definition: KindDefinition,
    version: string,
    value: Readonly<Record<string, unknown>>,
  ): ParsedObject {
    this.#checkVersion(definition, version)
    const meta = checkSchema(metadataSchema, value.metadata ?? {}, 'metadata')
    this.#take(meta.findings)
    const body = checkSchema(
      definition.schema,
      this.#bodyOf(definition, value),
      bodyPath(definition),
    )
    this.#take(body.findings)
    const status = this.#checkStatus(definition, value)
    const metadata = this.#metadataOf(meta.value as Record<string, unknown>)
    const findings = this.#findings([...meta.broken, ...body.broken])
    definition.rules({ metadata, spec: body.value as Document['spec'] }, findings)
    checkMetadata(metadata, definition.isNamespaced, findings)
    this.#warnAboutIdle(type, definition, value)
    const document = this.#document(type, metadata, body.value, status)
    if (isMeshConfig(document)) this.#problems.push(...readMeshConfig(document).problems)
    return this.#parsed(this.#hasErrors() ? undefined : document)
  }

  #warnAboutIdle(
    type: DocumentType,
    definition: KindDefinition,
    value: Readonly<Record<string, unknown>>,
  ): void {
    const fields = IDLE_FIELDS[type] ?? []
    const root = definition.body === 'spec' ? { spec: value.spec } : value
    for (const path of findIdle(fields, '', root)) {
      // Of a value that is none of those allowed it would say both "must be …" and "accepted".
      if (this.#problems.some((one) => one.path === path && one.code === 'not-allowed')) continue
      this.#add(path, 'warning', 'not-acted-on', 'accepted, not acted on yet')
    }
  }

  #document(type: DocumentType, metadata: ObjectMeta, spec: unknown, status: unknown): Document {
    const { file, lines, place } = this.#raw
    const { kind, apiVersion, namespace, name } = this.#ref
    return {
      type,
      kind,
      apiVersion,
      metadata,
      spec,
      ...(status === undefined ? {} : { status }),
      origin: { kind, namespace, name, file, line: this.#line },
      lineOf: (path: string) => lines.positionOf(offsetOf(findPlace(place, path).place)).line,
    } as Document
  }

  #parsed(document: Document | undefined): ParsedObject {
    return {
      object: this.#ref,
      file: this.#raw.file,
      line: this.#line,
      isValid: !this.#hasErrors(),
      problems: this.#problems,
      ...(document === undefined ? {} : { document }),
    }
  }

  #checkVersion(definition: KindDefinition, version: string): void {
    if (definition.versions.includes(version)) return
    const known = definition.versions.map((one) => joinApiVersion(definition.group, one))
    this.#add('apiVersion', 'error', 'not-allowed', `must be one of ${known.join(', ')}`, {
      suggestion: known[0],
    })
  }

  #bodyOf(definition: KindDefinition, value: Readonly<Record<string, unknown>>): unknown {
    const { apiVersion, kind, metadata, ...rest } = value
    if (definition.body === 'root') return rest
    const { spec, status, ...others } = rest
    for (const key of Object.keys(others)) {
      const suggestion = nearest(key, ['spec', 'status'])
      const hint =
        suggestion === undefined
          ? 'did you mean to put it under "spec"?'
          : `did you mean "${suggestion}"?`
      this.#add(childPath('', key), 'error', 'unknown-field', `unknown field "${key}"; ${hint}`, {
        suggestion,
      })
    }
    if (spec === undefined && definition.isSpecRequired) {
      this.#add('spec', 'error', 'missing-field', 'is required but missing')
    }
    return spec === undefined || spec === null ? {} : spec
  }

  #checkStatus(definition: KindDefinition, value: Readonly<Record<string, unknown>>): unknown {
    const { status } = value
    if (status === undefined || status === null || definition.body === 'root') return undefined
    if (definition.statusSchema === undefined) return status
    const checked = checkSchema(definition.statusSchema, status, 'status')
    this.#take(checked.findings)
    return checked.value
  }

  #metadataOf(value: Record<string, unknown>): ObjectMeta {
    const { namespace, name } = this.#ref
    const { labels, annotations, creationTimestamp, uid, resourceVersion, generation } = value
    const rest = { creationTimestamp, uid, resourceVersion, generation }
    const present = Object.fromEntries(Object.entries(rest).filter(([, one]) => one !== undefined))
    return { name, namespace, labels, annotations, ...present } as ObjectMeta
  }

  /** Rules also look at objects with broken parts; what they say of those parts is only an echo. */
  #findings(broken: readonly string[]): Findings {
    const isEcho = (path: string) =>
      broken.some((one) => isWithin(one, path) || isWithin(path, one))
    return {
      error: (path, code, message) => {
        if (!isEcho(path)) this.#add(path, 'error', code, message)
      },
      warning: (path, code, message, alias) => {
        if (!isEcho(path)) this.#add(path, 'warning', code, message, { alias })
      },
    }
  }

  #take(findings: readonly SchemaFinding[]): void {
    for (const { path, code, message, suggestion } of findings) {
      this.#add(path, 'error', code, message, { suggestion })
    }
  }

  #hasErrors(): boolean {
    return this.#problems.some(({ severity }) => severity === 'error')
  }

  #add(
    path: string,
    severity: Severity,
    code: ProblemCode,
    message: string,
    extra: { suggestion?: string | undefined; alias?: string | undefined } = {},
  ): void {
    // A kind's own rule for names says more than the one for all kinds, which comes after it.
    if (
      code === 'bad-name' &&
      this.#problems.some((one) => one.path === path && one.code === code)
    ) {
      return
    }
    const { suggestion, alias } = extra
    this.#problems.push({
      ...positionIn(this.#raw, path, code),
      path,
      severity,
      code,
      ...(alias === undefined ? {} : { alias }),
      message: `${path === '' ? '' : `${path}: `}${message}`,
      ...(suggestion === undefined ? {} : { suggestion }),
      object: this.#ref,
    })
  }
}

/** An unknown field is shown at its name, everything else at its value. */
function positionIn(
  { file, lines, place }: RawObject,
  path: string,
  code: string,
): { file: string; line: number; column: number } {
  const { place: found, isExact } = findPlace(place, path)
  const atKey = code === 'unknown-field' || !isExact
  const offset = atKey ? (found.keyAt ?? found.at) : offsetOf(found)
  return { file, ...lines.positionOf(offset) }
}

/** Whether `path` is `parent` or a place inside it. */
function isWithin(path: string, parent: string): boolean {
  return path.startsWith(parent) && /^($|[.[])/.test(path.slice(parent.length))
}

function isMeshConfig(document: Document): document is DocumentOf<'ConfigMap'> {
  return document.type === 'ConfigMap' && document.metadata.name === MESH_CONFIG_MAP.name
}

function notAnObject(raw: RawObject, path: string, message: string, suggestion?: string): Judged {
  const problem: Problem = {
    ...positionIn(raw, path, ''),
    path,
    severity: 'error',
    code: 'not-an-object',
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
  }
  return { kind: 'notAnObject', problem }
}

/** Kinds of the groups we read that exist, and that the mesh does not read. */
const OTHER_KINDS: Readonly<Record<string, readonly string[]>> = {
  'weft.io': ['DataService', 'Plugin', 'Rollout'],
  'networking.istio.io': ['EnvoyFilter', 'ProxyConfig', 'WorkloadGroup'],
  'gateway.networking.k8s.io': ['UDPRoute'],
}

/** Kinds of our groups that do not exist are typos; everything else may be anybody's. */
function misspelt(
  group: string,
  kind: string,
): { path: string; message: string; suggestion: string | undefined } | undefined {
  const kinds = Object.values(KINDS)
  const elsewhere = kinds.find((one) => one.kind === kind && kind !== 'Gateway')
  if (elsewhere !== undefined && nearest(group, [elsewhere.group]) !== undefined) {
    const suggestion = joinApiVersion(elsewhere.group, elsewhere.versions[0] ?? 'v1')
    return { path: 'apiVersion', message: `kind ${kind} belongs to ${suggestion}`, suggestion }
  }
  const others = Object.hasOwn(OTHER_KINDS, group) ? OTHER_KINDS[group] : undefined
  if (others === undefined || others.includes(kind)) return undefined
  const ours = kinds.filter((one) => one.group === group).map((one) => one.kind)
  const suggestion = nearest(kind, [...ours, ...others])
  if (suggestion === undefined) return undefined
  const message = `there is no kind ${kind} in ${group}; did you mean "${suggestion}"?`
  return { path: 'kind', message, suggestion }
}

function refOf(
  value: Readonly<Record<string, unknown>>,
  apiVersion: string,
  kind: string,
  type: DocumentType | undefined,
  defaultNamespace: string,
): ObjectRef {
  const metadata = isRecord(value.metadata) ? value.metadata : {}
  const { name, namespace, generateName } = metadata
  const isNamespaced = type === undefined || KINDS[type].isNamespaced
  return {
    apiVersion,
    kind,
    namespace: isNamespaced ? textOr(namespace, defaultNamespace) : '',
    name: textOr(name, textOr(generateName, '')),
  }
}

function textOr(value: unknown, fallback: string): string {
  return typeof value === 'string' && value !== '' ? value : fallback
}

function bodyPath(definition: KindDefinition): string {
  return definition.body === 'spec' ? 'spec' : ''
}

function splitApiVersion(apiVersion: string): [group: string, version: string] {
  const slash = apiVersion.indexOf('/')
  return slash === -1 ? ['', apiVersion] : [apiVersion.slice(0, slash), apiVersion.slice(slash + 1)]
}

function joinApiVersion(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

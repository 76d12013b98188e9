/**
 * `weft apply` and `weft delete` on a watched folder: one file per object,
 * written atomically, only after everything was found valid. An object that a
 * file of the folder already holds is changed there.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Document,
  type ObjectRef,
  type ParsedText,
  type Problem,
  parseDocuments,
  type SkippedObject,
} from '@weft/config'
import { groupOf } from './file-state.ts'
import { listFiles } from './list-files.ts'
import { holdsOnly, withoutMembers } from './list-members.ts'
import { OWNER_ONLY, writeAtomically } from './write-atomically.ts'
import { type Chunk, joinChunks, splitChunks } from './yaml-chunks.ts'

export interface ApplyResult {
  readonly ok: boolean
  readonly problems: readonly Problem[]
  /** What was done to each object, in the order of the input; empty unless `ok`. */
  readonly objects: readonly AppliedObject[]
  /** Objects of kinds that the mesh does not read; not written. */
  readonly skipped: readonly SkippedObject[]
}

export interface AppliedObject {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly outcome: 'created' | 'configured' | 'unchanged'
  readonly file: string
}

/**
 * Validates `text` (one or more YAML documents), then writes each object into
 * `folder`. Nothing is written when anything is invalid.
 *
 * @throws {ApplyRefused} An object stands in a list that cannot be changed without harm.
 * @param file Name of the text for messages, e.g. `reviews.yaml` or `<stdin>`.
 */
export async function applyFile(folder: string, text: string, file: string): Promise<ApplyResult> {
  const parsed = parseDocuments(text, { file })
  const { problems, skipped } = parsed
  if (problems.some(({ severity }) => severity === 'error')) {
    return { ok: false, problems, objects: [], skipped }
  }
  mkdirSync(folder, { recursive: true })
  const pieces = piecesOf(text, parsed)
  await checkChangeable(
    folder,
    pieces.map(({ document }) => nameOf(document)),
  )
  const objects: AppliedObject[] = []
  for (const { document, chunk } of pieces) {
    objects.push(await writeObject(folder, document, chunk))
  }
  return { ok: true, problems, objects, skipped }
}

export interface ObjectName {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** Tells the two kinds of `Gateway` apart; absent: any. */
  readonly apiVersion?: string
}

export interface DeleteResult {
  readonly deleted: readonly (ObjectName & { readonly file: string })[]
  readonly missing: readonly ObjectName[]
}

/**
 * Removes the named objects from the folder's files, whichever files hold them.
 *
 * @throws {ApplyRefused} As `applyFile`.
 */
export async function deleteObjects(
  folder: string,
  objects: readonly ObjectName[],
): Promise<DeleteResult> {
  const deleted: (ObjectName & { file: string })[] = []
  const missing: ObjectName[] = []
  await checkChangeable(folder, objects)
  for (const object of objects) {
    const { kind, namespace, name } = object
    const places = (await placesOf(folder)).filter(({ document }) => isNamed(document, object))
    for (const file of new Set(places.map((place) => place.file))) {
      replaceIn(file, object, undefined)
      deleted.push({ kind, namespace, name, file })
    }
    if (places.length === 0) missing.push(object)
  }
  return { deleted, missing }
}

/** What a text names, also when it is not valid. */
export function objectsOf(text: string, file: string): readonly ObjectName[] {
  const { documents, objects } = parseDocuments(text, { file })
  return [...documents.map(nameOf), ...objects.map(({ object }) => object)]
}

/** The objects of the folder that a change of those named would reach, as they stand there. */
export async function placedObjects(
  folder: string,
  objects: readonly ObjectName[],
): Promise<readonly ObjectName[]> {
  const places = await placesOf(folder)
  return places
    .filter(({ document }) => objects.some((object) => isNamed(document, object)))
    .map(({ document }) => ('metadata' in document ? nameOf(document) : document))
}

interface Piece {
  readonly document: Document
  /** The object's own text, ready to stand in a file by itself. */
  readonly chunk: string
}

/** Each object with its text; one out of a list is written anew, as JSON, which is YAML. */
function piecesOf(text: string, parsed: ParsedText): readonly Piece[] {
  return splitChunks(text).flatMap((chunk) => {
    const documents = parsed.documents.filter((one) => isIn(one, chunk))
    const isAlone = documents.length === 1 && !isList(chunk.text)
    return documents.map((document) => ({
      document,
      chunk: isAlone ? chunk.text : renderDocument(document),
    }))
  })
}

async function writeObject(
  folder: string,
  document: Document,
  chunk: string,
): Promise<AppliedObject> {
  const { kind, apiVersion, metadata } = document
  const { namespace, name } = metadata
  const object = nameOf(document)
  const known = (await placesOf(folder)).find((place) => isNamed(place.document, object))
  if (known === undefined) {
    const group = groupOf(apiVersion).split('.')[0] ?? ''
    const isAmbiguous = kind === 'Gateway'
    const parts = [kind, ...(isAmbiguous ? [group] : []), namespace, name]
    const file = join(folder, `${parts.filter(Boolean).join('.').toLowerCase()}.yaml`)
    writeAtomically(file, joinChunks([chunk]), kind === 'Secret' ? OWNER_ONLY : undefined)
    return { kind, namespace, name, outcome: 'created', file }
  }
  const isChanged = replaceIn(known.file, object, chunk)
  return {
    kind,
    namespace,
    name,
    outcome: isChanged ? 'configured' : 'unchanged',
    file: known.file,
  }
}

function nameOf({ kind, apiVersion, metadata }: Document): ObjectName {
  return { kind, apiVersion, namespace: metadata.namespace, name: metadata.name }
}

interface Place {
  readonly file: string
  readonly document: Document | ObjectRef
}

/** Where each object of the folder stands, invalid ones included. */
async function placesOf(folder: string): Promise<readonly Place[]> {
  const places: Place[] = []
  for (const file of await listFiles(folder)) {
    for (const { object } of parseDocuments(readFileSync(file, 'utf8'), { file }).objects) {
      places.push({ file, document: object })
    }
  }
  return places
}

/** Changing one object would harm others of its file; nothing was written. */
export class ApplyRefused extends Error {}

/**
 * Rewrites a file with another text for one object, or without it; a file that
 * holds nothing any more is removed. Returns whether anything changed.
 *
 * @throws {ApplyRefused}
 */
function replaceIn(file: string, object: ObjectName, replacement: string | undefined): boolean {
  const text = readFileSync(file, 'utf8')
  const next = textWith(text, file, object, replacement)
  if (next === joinChunks([text]) || next === text) return false
  if (next === '') rmSync(file)
  else writeAtomically(file, next)
  return true
}

/** @throws {ApplyRefused} When the object cannot be taken out of a list without harm to the others. */
function textWith(
  text: string,
  file: string,
  object: ObjectName,
  replacement: string | undefined,
): string {
  const parsed = parseDocuments(text, { file })
  const isIt = (one: ObjectRef) => isNamed(one, object)
  const texts = splitChunks(text).flatMap((chunk) => {
    const own = parsed.objects.find(
      (one) => one.line >= chunk.firstLine && one.line <= chunk.lastLine && isIt(one.object),
    )
    if (own === undefined) return [chunk.text]
    const replaced = replacement === undefined ? [] : [replacement]
    if (holdsOnly(chunk.text, isIt)) return replaced
    const others = withoutMembers(chunk.text, isIt)
    if (others !== undefined) return [others, ...replaced]
    const { kind, namespace, name } = object
    throw new ApplyRefused(
      `${kind} ${namespace}/${name} stands among others in ${file}:${own.line}; edit it there`,
    )
  })
  return joinChunks(texts)
}

/** Before anything is written. @throws {ApplyRefused} */
async function checkChangeable(folder: string, objects: readonly ObjectName[]): Promise<void> {
  for (const { file, document } of await placesOf(folder)) {
    const object = objects.find((one) => isNamed(document, one))
    if (object !== undefined) textWith(readFileSync(file, 'utf8'), file, object, undefined)
  }
}

function isNamed(document: Document | ObjectRef, object: ObjectName): boolean {
  const { namespace, name } = 'metadata' in document ? document.metadata : document
  return (
    document.kind.toLowerCase() === object.kind.toLowerCase() &&
    name === object.name &&
    (namespace === object.namespace || namespace === '') &&
    (object.apiVersion === undefined || groupOf(object.apiVersion) === groupOf(document.apiVersion))
  )
}

function isIn({ origin }: Document, { firstLine, lastLine }: Chunk): boolean {
  return origin.line !== undefined && origin.line >= firstLine && origin.line <= lastLine
}

function isList(text: string): boolean {
  return /^\s*["']?kind["']?\s*:\s*["']?\w*List\b/m.test(text)
}

/** Kinds whose fields stand beside `metadata`. */
const WITHOUT_SPEC = new Set(['EndpointSlice', 'Endpoints', 'Secret', 'ConfigMap'])

function renderDocument({ kind, apiVersion, metadata, spec, status }: Document): string {
  const body = WITHOUT_SPEC.has(kind) ? spec : { spec }
  const state = status === undefined ? {} : { status }
  return JSON.stringify({ apiVersion, kind, metadata, ...body, ...state }, undefined, 2)
}

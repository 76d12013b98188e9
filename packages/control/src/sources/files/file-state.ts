/**
 * What one file contributes, from its text and from what it contributed before.
 * Pure; reading and watching are `file.ts`.
 *
 * A text that cannot be read as documents (half-written, a syntax error) changes
 * nothing: everything the file held stays. An object that is invalid keeps its
 * own last good form; its neighbours go on.
 */
import { isDeepStrictEqual } from 'node:util'
import { type Document, type ObjectRef, type Problem, parseDocuments } from '@weft/config'
import type { Refusal } from '../source.ts'

export interface FileState {
  readonly documents: readonly Document[]
  readonly problems: readonly Problem[]
  readonly refused: readonly Refusal[]
  /** Nothing was refused: the text as it is may be kept as the last good one. */
  readonly isGood: boolean
}

export const EMPTY_FILE: FileState = { documents: [], problems: [], refused: [], isGood: true }

export function nextFileState(before: FileState, file: string, text: string): FileState {
  const parsed = parseDocuments(text, { file })
  const broken = parsed.problems.find(
    ({ severity, object }) => severity === 'error' && object === undefined,
  )
  if (broken !== undefined) {
    const keptLastGood = before.documents.length > 0
    return {
      documents: before.documents,
      problems: parsed.problems,
      refused: [{ file, keptLastGood, reason: renderProblem(broken) }],
      isGood: false,
    }
  }
  const documents: Document[] = []
  const refused: Refusal[] = []
  for (const { object, document, problems } of parsed.objects) {
    const old = before.documents.find((one) => isSameObject(one, object))
    if (document !== undefined) {
      documents.push(old !== undefined && isEqual(old, document) ? old : document)
      continue
    }
    if (old !== undefined) documents.push(old)
    const error = problems.find(({ severity }) => severity === 'error')
    refused.push({
      file,
      object,
      keptLastGood: old !== undefined,
      reason: error === undefined ? 'invalid' : renderProblem(error),
    })
  }
  return { documents, problems: parsed.problems, refused, isGood: refused.length === 0 }
}

/** The same object in another version of its API is the same object. */
function isSameObject({ kind, apiVersion, metadata }: Document, object: ObjectRef): boolean {
  return (
    kind === object.kind &&
    groupOf(apiVersion) === groupOf(object.apiVersion) &&
    metadata.namespace === object.namespace &&
    metadata.name === object.name
  )
}

export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash < 0 ? '' : apiVersion.slice(0, slash)
}

function isEqual(a: Document, b: Document): boolean {
  return (
    a.apiVersion === b.apiVersion &&
    isDeepStrictEqual(a.origin, b.origin) &&
    isDeepStrictEqual(a.metadata, b.metadata) &&
    isDeepStrictEqual(a.spec, b.spec) &&
    isDeepStrictEqual(a.status, b.status)
  )
}

function renderProblem({ line, path, message }: Problem): string {
  const where = path === '' ? '' : `${path}: `
  return line === 0 ? `${where}${message}` : `line ${line}: ${where}${message}`
}

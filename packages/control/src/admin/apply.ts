/** `/v1/apply` and `/v1/delete`: change the watched folder of a running control plane. */
import {
  ApplyRefused,
  applyFile,
  deleteObjects,
  type ObjectName,
  objectsOf,
  placedObjects,
} from '../sources/files/apply.ts'
import { denial, mayEverywhere, mayIn, type Operator } from './access/roles.ts'
import { type AdminAnswer, type AdminEndpoint, type AdminRequest, jsonAnswer } from './endpoint.ts'

export const apply: AdminEndpoint = {
  path: '/v1/apply',
  method: 'POST',
  access: { action: 'objects.apply', role: 'operator', where: 'namespaces' },
  summary: 'validate YAML and write it into the watched folder; 422 when it is invalid',
  async answer({ query, body, caller, about }, plane) {
    if (plane.folder === undefined) return NO_FOLDER
    const file = query.get('file') ?? '<request>'
    const objects = objectsOf(body, file)
    const refusal = await refusalOf('objects.apply', objects, plane.folder, caller, about)
    if (refusal !== undefined) return refusal
    const result = await orRefused(applyFile(plane.folder, body, file))
    if (result instanceof ApplyRefused) return jsonAnswer({ error: result.message }, 409)
    if (result.ok) await plane.rescan()
    return jsonAnswer(result, result.ok ? 200 : 422)
  },
}

export const deleteEndpoint: AdminEndpoint = {
  path: '/v1/delete',
  method: 'POST',
  access: { action: 'objects.delete', role: 'operator', where: 'namespaces' },
  summary: 'remove objects from the watched folder: {"objects":[{"kind","namespace","name"}]}',
  async answer({ body, caller, about }, plane) {
    if (plane.folder === undefined) return NO_FOLDER
    const objects = readNames(body)
    if (objects === undefined) {
      return jsonAnswer(
        { error: 'the body must be {"objects":[{"kind","namespace","name"}]}' },
        400,
      )
    }
    const refusal = await refusalOf('objects.delete', objects, plane.folder, caller, about)
    if (refusal !== undefined) return refusal
    const result = await orRefused(deleteObjects(plane.folder, objects))
    if (result instanceof ApplyRefused) return jsonAnswer({ error: result.message }, 409)
    await plane.rescan()
    return jsonAnswer(result)
  },
}

/** Why somebody may not change the objects: those that they name, and those that would be changed. */
async function refusalOf(
  action: string,
  objects: readonly ObjectName[],
  folder: string,
  caller: Operator,
  about: AdminRequest['about'],
): Promise<AdminAnswer | undefined> {
  for (const { kind, namespace, name } of objects) about(`${kind} ${namespace}/${name}`)
  if (mayEverywhere(caller, 'operator')) return undefined
  const touched = [...objects, ...(await placedObjects(folder, objects))]
  const foreign = touched.find(({ namespace }) => !mayIn(caller, 'operator', namespace))
  return foreign === undefined
    ? undefined
    : jsonAnswer({ error: denial(caller, action, 'operator', foreign.namespace) }, 403)
}

async function orRefused<T>(work: Promise<T>): Promise<T | ApplyRefused> {
  try {
    return await work
  } catch (error) {
    if (error instanceof ApplyRefused) return error
    throw error
  }
}

const NO_FOLDER: AdminAnswer = jsonAnswer({ error: 'no folder is watched, only files' }, 409)

function readNames(body: string): readonly ObjectName[] | undefined {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return undefined
  }
  const list = (value as { objects?: unknown } | null)?.objects
  return Array.isArray(list) && list.every(isName) ? list : undefined
}

function isName(value: unknown): value is ObjectName {
  if (typeof value !== 'object' || value === null) return false
  const { kind, namespace, name, apiVersion } = value as Record<string, unknown>
  return (
    typeof kind === 'string' &&
    typeof namespace === 'string' &&
    typeof name === 'string' &&
    (apiVersion === undefined || typeof apiVersion === 'string')
  )
}

/** The state of a mesh for people. Pure. */
import { relative } from 'node:path'
import type { Problem } from '@weft/config'
import type { ObjectStatus } from '@weft/control'
import { columns } from '../terminal/columns.ts'
import type { Style } from '../terminal/style.ts'

export interface MeshStatus {
  /** Nothing is refused, unresolved or rejected. */
  readonly ok: boolean
  readonly objects: readonly ObjectStatus[]
  /** Everything found wrong in what is watched, also what belongs to no object. */
  readonly problems: readonly Problem[]
  readonly proxies: readonly ProxyStatus[]
}

interface ProxyStatus {
  /** `namespace/workload`. */
  readonly name: string
  readonly role: string
  /** Everything it was sent was taken. */
  readonly isSynced: boolean
  readonly rejected: readonly { readonly resource: string; readonly message: string }[]
}

export function isWell(status: ObjectStatus): boolean {
  return (
    status.conditions.every((condition) => condition.status) &&
    !status.problems.some(({ severity }) => severity === 'error') &&
    (status.applied?.rejected.length ?? 0) === 0
  )
}

/** @param cwd Files below it are named as seen from there. */
export function renderStatus(mesh: MeshStatus, all: boolean, cwd: string, style: Style): string {
  const near = (file: string) => nearName(file, cwd)
  const shown = mesh.objects.filter((object) => all || !isWell(object))
  const rows = shown.map((object) => [
    isWell(object) ? style.green('✓') : style.red('✗'),
    `${object.kind} ${object.namespace}/${object.name}`,
    object.file === undefined ? '-' : `${near(object.file)}:${object.line ?? 0}`,
    object.summary,
  ])
  const table = rows.length === 0 ? '' : columns([['', 'OBJECT', 'WHERE', 'STATE'], ...rows])
  const named = new Set(mesh.objects.flatMap(({ problems }) => problems.map(keyOf)))
  const errors = mesh.problems.filter(({ severity }) => severity === 'error')
  const nameless = errors.filter((problem) => !named.has(keyOf(problem)))
  const details = [...shown.flatMap(({ problems }) => problems), ...nameless]
    .filter(({ severity }) => all || severity === 'error')
    .map((problem) => `  ${near(problem.file)}:${problem.line} ${describe(problem)}\n`)
  const lagging = mesh.proxies.filter(({ isSynced }) => !isSynced).map(({ name }) => name)
  const sick = mesh.objects.filter((object) => !isWell(object)).length
  const parts = [
    `${mesh.objects.length} objects`,
    sick + nameless.length === 0
      ? style.green('all well')
      : style.red(`${sick + nameless.length} not in force`),
    `${mesh.proxies.length} proxies`,
    lagging.length === 0 ? 'all up to date' : style.yellow(`behind: ${lagging.join(', ')}`),
  ]
  return `${table}${details.join('')}${parts.join(', ')}\n`
}

function describe({ path, message }: Problem): string {
  return path === '' || message.startsWith(path) ? message : `${path}: ${message}`
}

function nearName(file: string, cwd: string): string {
  const name = relative(cwd, file)
  return name.startsWith('..') || name === '' ? file : name
}

function keyOf({ file, line, path, message }: Problem): string {
  return [file, line, path, message].join('|')
}

/**
 * The file that binds users and groups to roles, as small as it can be and still be Kubernetes' idea:
 *
 *     bindings:
 *       - role: admin
 *         users: [alice]
 *       - role: operator
 *         groups: [shop-team]
 *         namespaces: [shop, shop-staging]
 *
 * It is read again whenever it changes. A form that cannot be read changes nothing and is an error in
 * the log; at the start it is a reason not to start.
 */
import { readFileSync, statSync } from 'node:fs'
import type { Logger } from '@weft/base'
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml'
import { type Grant, type Identity, isRole, ROLES } from './roles.ts'

export interface Binding extends Grant {
  readonly users: readonly string[]
  readonly groups: readonly string[]
}

const FIELDS = ['role', 'users', 'groups', 'namespaces']
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const MAX_BYTES = 1024 * 1024

/** @throws {Error} Says what is wrong and in which line. */
export function parseBindings(text: string, file: string): readonly Binding[] {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, schema: 'core' })
  const at = (node: unknown) => {
    const offset = (node as Node | null)?.range?.[0]
    return offset === undefined ? file : `${file}:${lines.linePos(offset).line}`
  }
  const [error] = document.errors
  if (error !== undefined) throw new Error(`${file}:${error.linePos?.[0].line}: ${error.message}`)
  visit(document, {
    Alias: (_key, node) => {
      throw new Error(`${at(node)}: aliases are not read here; write it out`)
    },
  })
  const root = document.contents
  if (!isMap(root)) throw new Error(`${file}: must be a map with the field bindings`)
  checkFields(root, ['bindings'], at)
  const list = root.get('bindings', true)
  if (!isSeq(list)) throw new Error(`${at(list ?? root)}: bindings must be a list`)
  return list.items.map((item) => readBinding(item, at))
}

type At = (node: unknown) => string

function readBinding(node: unknown, at: At): Binding {
  if (!isMap(node)) throw new Error(`${at(node)}: a binding is a map with ${FIELDS.join(', ')}`)
  checkFields(node, FIELDS, at)
  const role = node.get('role')
  if (!isRole(role)) throw new Error(`${at(node)}: role must be one of ${ROLES.join(', ')}`)
  const names = (field: string) => namesOf(node.get(field, true), field, at)
  const users = names('users') ?? []
  const groups = names('groups') ?? []
  if (users.length + groups.length === 0) {
    throw new Error(`${at(node)}: a binding needs users or groups`)
  }
  const namespaces = names('namespaces')
  // An empty list would read as nothing to some and as everything to others.
  if (namespaces?.length === 0) {
    throw new Error(`${at(node)}: namespaces must name one; leave the field out for all of them`)
  }
  const bad = namespaces?.find((name) => name !== '*' && !NAMESPACE.test(name))
  if (bad !== undefined) throw new Error(`${at(node)}: '${bad}' is no namespace`)
  const isAll = namespaces === undefined || namespaces.includes('*')
  return { role, users, groups, namespaces: isAll ? 'all' : namespaces }
}

function namesOf(node: unknown, field: string, at: At): readonly string[] | undefined {
  if (node === undefined) return undefined
  if (!isSeq(node)) throw new Error(`${at(node)}: ${field} must be a list of names`)
  return node.items.map((item) => {
    const name = isScalar(item) ? item.value : undefined
    if (typeof name === 'string' && name !== '') return name
    throw new Error(`${at(item)}: ${field} must be a list of names`)
  })
}

function checkFields(
  map: { readonly items: readonly { readonly key: unknown }[] },
  known: readonly string[],
  at: At,
): void {
  for (const { key } of map.items) {
    const name = isScalar(key) ? String(key.value) : ''
    if (known.includes(name)) continue
    throw new Error(`${at(key)}: unknown field ${name}; there are: ${known.join(', ')}`)
  }
}

/** What the bindings give to somebody. */
export function grantsFor(
  bindings: readonly Binding[],
  { user, groups }: Identity,
): readonly Grant[] {
  return bindings
    .filter(
      (binding) =>
        binding.users.includes(user) || binding.groups.some((group) => groups.includes(group)),
    )
    .map(({ role, namespaces }) => ({ role, namespaces }))
}

/** Follows the file; asks for its change at each use, which is a `stat`. */
export class BindingsFile {
  readonly #path: string
  readonly #log: Logger
  #bindings: readonly Binding[]
  #stamp: string

  /** @throws {Error} When it cannot be read now. */
  constructor(path: string, log: Logger) {
    this.#path = path
    this.#log = log
    this.#stamp = stampOf(path)
    this.#bindings = read(path)
  }

  /** Those of the newest form that could be read. */
  get bindings(): readonly Binding[] {
    try {
      const stamp = stampOf(this.#path)
      if (stamp !== this.#stamp) {
        this.#stamp = stamp
        this.#bindings = read(this.#path)
        this.#log.info('the bindings of operators changed', { file: this.#path })
      }
    } catch (error) {
      this.#log.error('cannot read the bindings of operators; those before stay in force', {
        error,
      })
    }
    return this.#bindings
  }
}

function stampOf(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? 'gone' : `${found.ino} ${found.size} ${found.mtimeNs}`
}

function read(path: string): readonly Binding[] {
  const text = readFileSync(path, 'utf8')
  if (text.length > MAX_BYTES) throw new Error(`${path}: more than ${MAX_BYTES} bytes`)
  return parseBindings(text, path)
}

/**
 * Who may do what to the mesh. Three roles, each of which may do what the one before may; a grant
 * gives a role in some namespaces, or in all of them, which is what mesh-wide things need.
 *
 *     viewer    sees configuration, status, proxies
 *     operator  changes objects
 *     admin     hands out join tokens and operator tokens; mesh-wide: the CA
 */

export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

export interface Grant {
  readonly role: Role
  /** Names, without patterns. `all`: every namespace, and what is in none. */
  readonly namespaces: 'all' | readonly string[]
}

/** How somebody proved who they are. */
type Proof = 'owner' | 'socket' | 'token' | 'certificate' | 'nobody'

export interface Identity {
  /** As bindings name them: of a token, a certificate's SPIFFE id or common name, `system:owner`. */
  readonly user: string
  readonly groups: readonly string[]
  readonly proof: Proof
  /** Of an operator token. */
  readonly tokenId?: string
}

export interface Operator extends Identity {
  readonly grants: readonly Grant[]
}

/** What an endpoint demands of who calls it. */
export type Access =
  /** Nothing: only whether the process is alive and ready. */
  | 'public'
  /** To be somebody. */
  | 'authenticated'
  | {
      /** What it does, for `weft auth can` and the audit log, e.g. `ca.rotate`. */
      readonly action: string
      readonly role: Role
      /** `mesh`: in all namespaces. `namespaces`: in one at least; the endpoint sees to which. */
      readonly where: 'mesh' | 'namespaces'
    }

/** Only those that the control plane itself vouches for are called so. */
export const RESERVED = /^system:/i
export const AUTHENTICATED = 'system:authenticated'
export const OWNER: Identity = { user: 'system:owner', groups: [AUTHENTICATED], proof: 'owner' }
export const OWNER_GRANTS: readonly Grant[] = [{ role: 'admin', namespaces: 'all' }]
export const NOBODY: Operator = {
  user: 'system:anonymous',
  groups: [],
  proof: 'nobody',
  grants: [],
}

export function isRole(text: unknown): text is Role {
  return ROLES.some((role) => role === text)
}

/** @param namespace Empty for what is in none, which is everybody's. */
export function mayIn({ grants }: Operator, role: Role, namespace: string): boolean {
  return grants.some(
    ({ role: has, namespaces }) =>
      includes(has, role) &&
      (namespaces === 'all' || (namespace !== '' && namespaces.includes(namespace))),
  )
}

export function mayEverywhere({ grants }: Operator, role: Role): boolean {
  return grants.some(({ role: has, namespaces }) => includes(has, role) && namespaces === 'all')
}

function maySomewhere({ grants }: Operator, role: Role): boolean {
  return grants.some(({ role: has }) => includes(has, role))
}

/** Why an operator may not call it, or `undefined` when they may. */
export function denialOf(operator: Operator, access: Access): string | undefined {
  if (access === 'public' || access === 'authenticated') return undefined
  const { action, role, where } = access
  const may = where === 'mesh' ? mayEverywhere(operator, role) : maySomewhere(operator, role)
  return may ? undefined : denial(operator, action, role, where === 'mesh' ? 'all' : undefined)
}

/** Names only what the operator said or is. */
export function denial(
  { user }: Operator,
  action: string,
  role: Role,
  namespace: string | undefined,
): string {
  const where =
    namespace === undefined
      ? ''
      : namespace === 'all' || namespace === ''
        ? ' in all namespaces'
        : ` in namespace ${namespace}`
  return `${user} may not do ${action}: it needs the role ${role}${where}`
}

function includes(has: Role, wanted: Role): boolean {
  return ROLES.indexOf(has) >= ROLES.indexOf(wanted)
}

/** Header operations of both families, and the one header that is no header: the host. */
import type { HeaderOperations, HttpRouteFilter } from '@weft/config'
import {
  type HeaderChanges,
  type HeaderValue,
  type HostRewrite,
  NO_HEADER_CHANGES,
} from '@weft/model'

export function headerOperations(operations: HeaderOperations | undefined): HeaderChanges {
  if (operations === undefined) return NO_HEADER_CHANGES
  const pairs = (values: Readonly<Record<string, string>> | undefined) =>
    Object.entries(values ?? {}).map(([name, value]) => ({ name: name.toLowerCase(), value }))
  const changes = {
    set: pairs(operations.set).filter(isOrdinary),
    add: pairs(operations.add).filter(isOrdinary),
    remove: (operations.remove ?? []).map((name) => name.toLowerCase()),
  }
  return isEmpty(changes) ? NO_HEADER_CHANGES : changes
}

/** `set: {host: x}` and `add: {host: x}` both mean the host that the upstream sees. */
export function hostOperation(operations: HeaderOperations | undefined): HostRewrite | undefined {
  for (const values of [operations?.set, operations?.add]) {
    for (const [name, value] of Object.entries(values ?? {})) {
      if (isHost(name.toLowerCase())) return { kind: 'literal', value }
    }
  }
  return undefined
}

type HeaderModifier = HttpRouteFilter['requestHeaderModifier']

export function headerModifier(modifier: HeaderModifier): HeaderChanges {
  if (modifier === undefined) return NO_HEADER_CHANGES
  const pairs = (values: readonly HeaderValue[] | undefined) =>
    (values ?? []).map(({ name, value }) => ({ name: name.toLowerCase(), value }))
  const changes = {
    set: pairs(modifier.set),
    add: pairs(modifier.add),
    remove: (modifier.remove ?? []).map((name) => name.toLowerCase()),
  }
  return isEmpty(changes) ? NO_HEADER_CHANGES : changes
}

function isOrdinary({ name }: HeaderValue): boolean {
  return !isHost(name)
}

function isHost(name: string): boolean {
  return name === 'host' || name === ':authority'
}

function isEmpty({ set, add, remove }: HeaderChanges): boolean {
  return set.length === 0 && add.length === 0 && remove.length === 0
}

/**
 * The one routing key of a request that names whom it asks twice: by a routing entry and by
 * Alibaba's binary routing, which has hashes besides. Responders differ in which of them they go
 * by, so all have to say the same: what is judged is what is done.
 */
import { type BinaryRouting, gsvHash, gsvServiceKey, parseGsv } from '@weft/wire'
import type { ServiceHashes } from './request-call.ts'

export const DIFFERENT_ROUTES = 'its routing entries name different services or methods'

/**
 * @param key Of the routing entry; empty: there is none.
 * @returns Empty: nobody is named. Undefined: two are.
 */
export function agreedKey(
  key: string,
  binary: BinaryRouting,
  hashes: ServiceHashes,
): string | undefined {
  const named = [key, binary.key].filter((each) => each !== '')
  const [first] = named
  if (first === undefined) return hashes.keyOfHash(binary.serviceId, binary.handlerId) ?? ''
  return named.every((each) => isHashOf(each, binary)) && isSame(first, named.at(-1) ?? first)
    ? binary.key || key
    : undefined
}

function isHashOf(key: string, { serviceId, handlerId }: BinaryRouting): boolean {
  const route = parseGsv(key)
  if (gsvHash(gsvServiceKey(route)) !== serviceId) return false
  return gsvHash(`${route.service}.${route.method}`) === handlerId
}

function isSame(a: string, b: string): boolean {
  const [one, other] = [parseGsv(a), parseGsv(b)]
  return gsvServiceKey(one) === gsvServiceKey(other) && one.method === other.method
}

/** What becomes of escaped slashes in paths ⇄ Envoy's `path_with_escaped_slashes_action`. */
import type { HttpConnectionManager } from '@weft/model'
import {
  HttpConnectionManager_PathWithEscapedSlashesAction as Action,
  type HttpConnectionManager as HcmProto,
  type HttpConnectionManagerSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import type { Problems } from './problems.ts'
import type { Init } from './values.ts'

const ACTIONS = { decode: Action.UNESCAPE_AND_FORWARD, reject: Action.REJECT_REQUEST } as const

export function encodeEscapedSlashes({
  escapedSlashes,
}: HttpConnectionManager): Pick<
  Init<typeof HttpConnectionManagerSchema>,
  'pathWithEscapedSlashesAction'
> {
  return escapedSlashes === undefined
    ? {}
    : { pathWithEscapedSlashesAction: ACTIONS[escapedSlashes] }
}

export function decodeEscapedSlashes(
  { pathWithEscapedSlashesAction: action }: HcmProto,
  path: string,
  problems: Problems,
): Pick<HttpConnectionManager, 'escapedSlashes'> {
  switch (action) {
    case Action.IMPLEMENTATION_SPECIFIC_DEFAULT:
    case Action.KEEP_UNCHANGED:
      return {}
    case Action.UNESCAPE_AND_FORWARD:
      return { escapedSlashes: 'decode' }
    case Action.REJECT_REQUEST:
      return { escapedSlashes: 'reject' }
    default:
      problems.add(`${path}.path_with_escaped_slashes_action`, `${action} is not supported`)
      return {}
  }
}

/** What becomes of `x-forwarded-client-cert` ⇄ Envoy's two fields for it. */
import type { ForwardClientCert } from '@weft/model'
import {
  HttpConnectionManager_ForwardClientCertDetails as Details,
  type HttpConnectionManager as HcmProto,
  type HttpConnectionManagerSchema,
  HttpConnectionManager_SetCurrentClientCertDetailsSchema as SetDetailsSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import type { Init } from './values.ts'

const MODES = {
  forwardOnly: Details.FORWARD_ONLY,
  appendForward: Details.APPEND_FORWARD,
  sanitizeSet: Details.SANITIZE_SET,
  alwaysForwardOnly: Details.ALWAYS_FORWARD_ONLY,
} as const satisfies Record<ForwardClientCert['mode'], Details>

const MODE_NAMES = ['forwardOnly', 'appendForward', 'sanitizeSet', 'alwaysForwardOnly'] as const
/** In the order in which Envoy writes them. */
const DETAIL_NAMES = ['cert', 'subject', 'uri', 'dns'] as const

export function encodeForwardClientCert(
  forward: ForwardClientCert | undefined,
): Pick<
  Init<typeof HttpConnectionManagerSchema>,
  'forwardClientCertDetails' | 'setCurrentClientCertDetails'
> {
  if (forward === undefined) return {}
  const told = new Set(forward.details)
  return {
    forwardClientCertDetails: MODES[forward.mode],
    setCurrentClientCertDetails: {
      cert: told.has('cert'),
      uri: told.has('uri'),
      dns: told.has('dns'),
      ...(told.has('subject') ? { subject: true } : {}),
    },
  }
}

const SET_DETAILS = covers(SetDetailsSchema, 'cert', 'subject', 'uri', 'dns')

export function decodeForwardClientCert(
  { forwardClientCertDetails, setCurrentClientCertDetails: set }: HcmProto,
  path: string,
  problems: Problems,
): { readonly forwardClientCert: ForwardClientCert } | undefined {
  const at = `${path}.set_current_client_cert_details`
  if (set !== undefined) refuseOthers(SET_DETAILS, set, at, problems)
  const mode = MODE_NAMES.find((name) => MODES[name] === forwardClientCertDetails)
  if (mode === undefined) return undefined
  const details = DETAIL_NAMES.filter((name) => set?.[name] === true)
  return { forwardClientCert: { mode, details } }
}

/**
 * Lines of an access log beside the one at the end: Envoy's `access_log_options` of connection
 * managers. The fields that stood in the filter itself before count only where the newer message
 * is absent.
 */
import type { HttpConnectionManager } from '@weft/model'
import {
  type HttpConnectionManager as HcmProto,
  HttpConnectionManager_HcmAccessLogOptionsSchema,
  type HttpConnectionManagerSchema,
} from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodeDuration, encodeDuration, type Init } from './values.ts'

const OPTIONS = covers(
  HttpConnectionManager_HcmAccessLogOptionsSchema,
  ...['access_log_flush_interval', 'flush_access_log_on_new_request'],
  'flush_log_on_tunnel_successfully_established',
)

export function encodeLogFlush({
  accessLogFlush: flush,
}: HttpConnectionManager): Pick<Init<typeof HttpConnectionManagerSchema>, 'accessLogOptions'> {
  if (flush === undefined) return {}
  const { intervalMs, onNewRequest = false, onTunnel = false } = flush
  return {
    accessLogOptions: {
      flushAccessLogOnNewRequest: onNewRequest,
      flushLogOnTunnelSuccessfullyEstablished: onTunnel,
      ...(intervalMs === undefined ? {} : { accessLogFlushInterval: encodeDuration(intervalMs) }),
    },
  }
}

export function decodeLogFlush(
  proto: HcmProto,
  path: string,
  problems: Problems,
): Pick<HttpConnectionManager, 'accessLogFlush'> {
  const { accessLogOptions } = proto
  const at = accessLogOptions === undefined ? path : `${path}.access_log_options`
  if (accessLogOptions !== undefined) refuseOthers(OPTIONS, accessLogOptions, at, problems)
  const { accessLogFlushInterval: interval, flushAccessLogOnNewRequest: onNewRequest } =
    accessLogOptions ?? proto
  const onTunnel = accessLogOptions?.flushLogOnTunnelSuccessfullyEstablished === true
  const intervalMs = interval === undefined ? undefined : decodeDuration(interval, 0)
  if (intervalMs !== undefined && intervalMs < 1) {
    problems.add(`${at}.access_log_flush_interval`, 'must be at least 1ms')
  }
  if (intervalMs === undefined && !onNewRequest && !onTunnel) return {}
  return {
    accessLogFlush: {
      ...(intervalMs === undefined ? {} : { intervalMs }),
      ...(onNewRequest ? { onNewRequest } : {}),
      ...(onTunnel ? { onTunnel } : {}),
    },
  }
}

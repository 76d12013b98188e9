/** `fault` of VirtualServices. A share that nobody wrote is none, as Istio documents. */
import { parseDurationMs } from '@weft/base'
import type { HttpRouteRule } from '@weft/config'
import type { Fault } from '@weft/model'

type FaultSettings = NonNullable<HttpRouteRule['fault']>

/** gRPC status codes by name, as `abort.grpcStatus` writes them. */
const GRPC_STATUS = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

export function fault(settings: FaultSettings | undefined): Fault | undefined {
  if (settings === undefined) return undefined
  const delay = readDelay(settings)
  const abort = readAbort(settings)
  if (delay === undefined && abort === undefined) return undefined
  return {
    ...(delay === undefined ? {} : { delay }),
    ...(abort === undefined ? {} : { abort }),
  }
}

function readDelay({ delay }: FaultSettings): Fault['delay'] {
  if (delay?.fixedDelay === undefined) return undefined
  const percent = delay.percentage === undefined ? delay.percent : (delay.percentage.value ?? 0)
  return { percent: percent ?? 0, delayMs: parseDurationMs(delay.fixedDelay) ?? 0 }
}

function readAbort({ abort }: FaultSettings): Fault['abort'] {
  if (abort === undefined) return undefined
  const percent = abort.percentage?.value ?? 0
  const grpcStatus = readGrpcStatus(abort.grpcStatus)
  if (grpcStatus !== undefined) return { percent, status: 200, grpcStatus }
  return abort.httpStatus === undefined ? undefined : { percent, status: abort.httpStatus }
}

function readGrpcStatus(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const code = /^\d+$/.test(text) ? Number(text) : GRPC_STATUS.indexOf(text.toUpperCase())
  return code >= 0 && code < GRPC_STATUS.length ? code : undefined
}

/**
 * What a call can fail with, and whether it may be made again. RSocket's codes (Protocol.md,
 * "Error Codes") with the one promise that brokers of this mesh keep: REJECTED was certainly not
 * processed, everything else may have been.
 */

/** Codes that calls end with and handlers may throw. */
export const ERROR_CODE = {
  /** The application failed. */
  APPLICATION_ERROR: 0x201,
  /** Certainly not processed: may be asked again, of whomever. */
  REJECTED: 0x202,
  /** May have run: the caller left, time ran out, or a connection was lost. */
  CANCELED: 0x203,
  /** Malformed, or not what the method takes. */
  INVALID: 0x204,
  /** Denied by policy; asking again does not help. */
  DENIED: 0x403,
} as const

export type ErrorName = keyof typeof ERROR_CODE

const NAMES = new Map<number, ErrorName>(
  (Object.keys(ERROR_CODE) as ErrorName[]).map((name) => [ERROR_CODE[name], name]),
)
/** Codes that applications give a meaning (Protocol.md): 0x301 to 0xFFFFFFFE. */
const FIRST_OWN_CODE = 0x301
/** JavaScript's older clients read codes as signed. */
const LAST_CODE = 0x7fff_fffe

export interface RSocketErrorDetails extends ErrorOptions {
  /** Nobody has processed the request. Default: the code is REJECTED. */
  readonly retrySafe?: boolean
}

/**
 * A call that failed; or, thrown by a handler, what its caller is told.
 *
 *     throw new RSocketError('INVALID', 'sku is missing')
 *     throw new RSocketError(0x1001, 'out of stock')
 */
export class RSocketError extends Error {
  override readonly name = 'RSocketError'
  /** Of `ERROR_CODE`, or the application's own, 0x301 to 0x7FFFFFFE. */
  readonly code: number
  /** Undefined for codes that only the application knows. */
  readonly codeName: ErrorName | undefined
  /** Certainly not processed: asking again does no harm, even for what is not idempotent. */
  readonly retrySafe: boolean
  /** The HTTP-like number that brokers put first (`WEFT-404 …`); undefined: there is none. */
  readonly status: number | undefined

  /** @throws {RangeError} If the code is none that may end a call. */
  constructor(code: ErrorName | number, message: string, details: RSocketErrorDetails = {}) {
    super(message, details)
    const number = typeof code === 'number' ? code : ERROR_CODE[code]
    if (typeof number !== 'number' || !isCode(number)) {
      throw new RangeError(
        `Cannot make an RSocketError: the code must be one of ${[...NAMES.values()].join(', ')} or 0x301 to 0x7FFFFFFE, got ${String(code)}`,
      )
    }
    this.code = number
    this.codeName = NAMES.get(number)
    this.retrySafe = details.retrySafe ?? number === ERROR_CODE.REJECTED
    const status = /^WEFT-(\d{3})\b/.exec(message)?.[1]
    this.status = status === undefined ? undefined : Number(status)
  }
}

function isCode(code: number): boolean {
  return NAMES.has(code) || (Number.isInteger(code) && code >= FIRST_OWN_CODE && code <= LAST_CODE)
}

const ofCalls = new WeakSet<RSocketError>()

/** Marks what a call of this program ended with. */
export function ofCall(error: RSocketError): RSocketError {
  ofCalls.add(error)
  return error
}

/**
 * Whether it says that a call of this program was not processed. Thrown on by a handler it would
 * say so of the handler, which has run: nobody may take it for an invitation to run it again.
 */
export function isOthersRejection(error: RSocketError): boolean {
  return error.code === ERROR_CODE.REJECTED && ofCalls.has(error)
}

/** An ERROR that came from the other side, whatever its code is. */
export function errorFromWire(code: number, message: string): RSocketError {
  return new RSocketError(isCode(code) ? code : 'APPLICATION_ERROR', message)
}

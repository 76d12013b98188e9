/** What `connect` was told, checked and complete. */
import type { BrokerPlace } from '@weft/traffic'
import { DEFAULT_LEASE } from './lease.ts'
import type { ConnectOptions, LeaseOptions, Limits, Methods } from './types.ts'

export interface Settings {
  readonly brokers: readonly BrokerPlace[]
  readonly instance: string
  readonly app: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly zone: string
  readonly weight: number
  readonly links: number
  readonly dataMime: string
  readonly connectTimeoutMs: number
  readonly waitForLinkMs: number
  readonly keepaliveMs: number
  readonly maxLifetimeMs: number
  readonly limits: Limits
  /** Undefined: no leases. */
  readonly lease: LeaseOptions | undefined
}

const MAX_LINKS = 16
/** So many brokers are known at most, whatever a broker says. */
export const MAX_PLACES = 1_024
const MAX_MS = 0x7fff_ffff
const LIMITS: Limits = {
  streams: 16_384,
  payloadBytes: 0xff_ff_ff,
  prefetch: 64,
  waitingCalls: 16_384,
}

/**
 * @param schemes That can be dialled here, as in `tcp`.
 * @param newInstance A fresh id of this process.
 * @throws {TypeError} If a broker's address is none.
 * @throws {RangeError} If a number is out of its range.
 */
export function readOptions(
  options: ConnectOptions,
  schemes: readonly string[],
  newInstance: () => string,
): Settings {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError("Cannot connect: give options, as in connect({ brokers: 'tls://b:7878' })")
  }
  const listed = typeof options.brokers === 'string' ? [options.brokers] : options.brokers
  if (!Array.isArray(listed) || listed.length === 0) {
    throw new TypeError('Cannot connect: brokers must name at least one, as in tls://broker:7878')
  }
  const brokers = listed.map((each) => {
    const { uri, zone = '' } = typeof each === 'string' ? { uri: each } : each
    return { uri: checkedUri(uri, schemes), zone }
  })
  for (const [service, methods] of Object.entries(options.services ?? {})) {
    checkMethods(service, methods)
  }
  const limits = { ...LIMITS, ...options.limits }
  inRange('limits.streams', limits.streams, 1, 1_000_000)
  inRange('limits.payloadBytes', limits.payloadBytes, 1, 0xff_ff_ff)
  inRange('limits.prefetch', limits.prefetch, 1, 65_535)
  inRange('limits.waitingCalls', limits.waitingCalls, 0, 1_000_000)
  const { lease = true, keepaliveMs = 20_000, maxLifetimeMs = 60_000 } = options
  inRange('keepaliveMs', keepaliveMs, 100, MAX_MS)
  inRange('maxLifetimeMs', maxLifetimeMs, keepaliveMs + 1, MAX_MS)
  return {
    brokers,
    instance: options.instance ?? newInstance(),
    app: options.app ?? 'app',
    namespace: options.namespace ?? 'default',
    labels: options.labels ?? {},
    zone: options.zone ?? '',
    weight: inRange('weight', options.weight ?? 1, 1, 1_000),
    links: inRange('links', options.links ?? 2, 1, MAX_LINKS),
    dataMime: options.dataMime ?? 'application/json',
    connectTimeoutMs: inRange('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1, MAX_MS),
    waitForLinkMs: inRange('waitForLinkMs', options.waitForLinkMs ?? 5_000, 0, MAX_MS),
    ...{ keepaliveMs, maxLifetimeMs, limits },
    lease:
      lease === false
        ? undefined
        : checkedLease({ ...DEFAULT_LEASE, ...(lease === true ? {} : lease) }),
  }
}

/** @throws {TypeError} If the service has no name, or something in it cannot be called. */
export function checkMethods(service: string, methods: Methods): void {
  if (typeof service !== 'string' || service === '') {
    throw new TypeError(`Cannot offer a service: its name must be a text, got ${String(service)}`)
  }
  if (typeof methods !== 'object' || methods === null || Array.isArray(methods)) {
    throw new TypeError(`Cannot offer ${service}: its methods must be { name: function }`)
  }
  for (const [name, handler] of Object.entries(methods)) {
    if (typeof handler === 'function') continue
    throw new TypeError(
      `Cannot offer ${service}: ${name} must be a function, got ${typeof handler}`,
    )
  }
}

function checkedLease(lease: LeaseOptions): LeaseOptions {
  inRange('lease.max', lease.max, 1, MAX_MS)
  inRange('lease.min', lease.min, 1, lease.max)
  inRange('lease.initial', lease.initial, lease.min, lease.max)
  inRange('lease.highLagMs', lease.highLagMs, 1, 60_000)
  return lease
}

function inRange(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw new RangeError(
    `Cannot connect: ${name} must be a whole number of ${min} to ${max}, got ${value}`,
  )
}

function checkedUri(uri: string, schemes: readonly string[]): string {
  const problem = uriProblem(uri, schemes)
  if (problem === undefined) return uri
  throw new TypeError(`Cannot connect: ${problem}, got ${uri}`)
}

function uriProblem(uri: string, schemes: readonly string[]): string | undefined {
  if (!URL.canParse(uri)) return 'a broker must be a URI such as tls://broker:7878'
  const { protocol, hostname, port } = new URL(uri)
  const scheme = protocol.slice(0, -1)
  if (!schemes.includes(scheme))
    return `a broker must have one of the schemes ${schemes.join(', ')}`
  if (hostname === '') return 'a broker must have a host'
  const isWeb = scheme === 'ws' || scheme === 'wss'
  return port === '' && !isWeb ? 'a broker must have a port' : undefined
}

/**
 * Those of the brokers that somebody tells of which may be dialled: a link of the same kind as one
 * of the first list, so that nobody moves a program from TLS to plaintext by telling it to.
 *
 * @param uris As the event has them; what is no URI is passed over.
 * @param zones Of each, in the same order; absent: not known.
 */
export function usablePlaces(
  uris: unknown,
  zones: unknown,
  first: readonly BrokerPlace[],
  schemes: readonly string[],
): readonly BrokerPlace[] {
  if (!Array.isArray(uris)) return []
  const kinds = new Set(first.map(({ uri }) => kindOf(uri)))
  return uris.slice(0, MAX_PLACES).flatMap((uri: unknown, at) => {
    if (typeof uri !== 'string' || uriProblem(uri, schemes) !== undefined) return []
    const zone: unknown = Array.isArray(zones) ? zones[at] : undefined
    return kinds.has(kindOf(uri)) ? [{ uri, zone: typeof zone === 'string' ? zone : '' }] : []
  })
}

/** `tls:` and `tcps:` are two words for one thing. */
function kindOf(uri: string): string {
  const { protocol } = new URL(uri)
  return protocol === 'tcps:' ? 'tls:' : protocol
}

/** What a TrafficPolicy for a Service changes of the service's clusters. */
import { parseDurationMs } from '@weft/base'
import type { TrafficPolicySpec } from '@weft/config'
import type { Cluster, HealthCheck, HealthProbe, OutlierDetection, TlvChoice } from '@weft/model'

export function clusterUnderPolicy(cluster: Cluster, spec: TrafficPolicySpec): Cluster {
  const { loadBalancer, healthChecks, outlierDetection: outliers, slowStart } = spec
  const maxConnectionDurationMs = readMs(spec.timeouts?.connectionDuration)
  const headerCase = HEADER_CASES[spec.headerCase ?? 'Preserve']
  const proxyTlvs = proxyTlvsOf(cluster, spec)
  return {
    ...cluster,
    ...(loadBalancer === undefined
      ? {}
      : { loadBalancer: { kind: 'peakEwma', decayMs: readMs(loadBalancer.decay) ?? 10_000 } }),
    ...(healthChecks === undefined ? {} : { healthChecks: healthChecks.map(healthCheck) }),
    ...(slowStart === undefined
      ? {}
      : {
          slowStart: {
            windowMs: readMs(slowStart.window) ?? 1,
            aggression: slowStart.aggression,
            minPercent: slowStart.minPercent,
          },
        }),
    ...(outliers === undefined
      ? {}
      : { outlierDetection: outlierDetection(cluster.outlierDetection, outliers) }),
    ...(proxyTlvs === undefined ? {} : { proxyTlvs }),
    http: {
      ...cluster.http,
      ...(maxConnectionDurationMs === undefined ? {} : { maxConnectionDurationMs }),
      ...(headerCase === undefined ? {} : { headerCase }),
    },
  }
}

/** The text form of the header has no room for any. */
function proxyTlvsOf(
  { proxyProtocol: version }: Cluster,
  { proxyProtocol }: TrafficPolicySpec,
): Cluster['proxyTlvs'] {
  const { passThroughTlvs, addedTlvs = [] } = proxyProtocol ?? {}
  const passes = tlvChoice(passThroughTlvs)
  if (version !== 'v2' || (passes === undefined && addedTlvs.length === 0)) return undefined
  const adds = addedTlvs.map(({ type, value }) => ({
    type,
    value: new TextEncoder().encode(value),
  }))
  return {
    ...(passes === undefined ? {} : { passes }),
    ...(adds.length === 0 ? {} : { adds }),
  }
}

export function tlvChoice(
  choice: NonNullable<TrafficPolicySpec['proxyProtocol']>['passThroughTlvs'],
): TlvChoice | undefined {
  if (choice === undefined) return undefined
  return choice.match === 'All' ? 'all' : (choice.types ?? [])
}

export const HEADER_CASES = { Lower: 'lower', Proper: 'proper', Preserve: undefined } as const

/** Statistics complete what a DestinationRule counts; alone they are the only detectors. */
const NO_COUNTS: OutlierDetection = {
  consecutive5xx: 0,
  consecutiveGatewayErrors: 0,
  consecutiveLocalOriginFailures: 0,
  splitLocalOriginErrors: false,
  intervalMs: 10_000,
  baseEjectionMs: 30_000,
  maxEjectionPercent: 10,
  minHealthPercent: 0,
}

function outlierDetection(
  counted: OutlierDetection | undefined,
  settings: NonNullable<TrafficPolicySpec['outlierDetection']>,
): OutlierDetection {
  const { successRate, failurePercentage, maxEjectionPercent } = settings
  const intervalMs = readMs(settings.interval)
  const baseEjectionMs = readMs(settings.baseEjectionTime)
  return {
    ...(counted ?? NO_COUNTS),
    ...(intervalMs === undefined ? {} : { intervalMs }),
    ...(baseEjectionMs === undefined ? {} : { baseEjectionMs }),
    ...(maxEjectionPercent === undefined ? {} : { maxEjectionPercent }),
    ...(successRate === undefined ? {} : { successRate }),
    ...(failurePercentage === undefined ? {} : { failurePercentage }),
  }
}

type Check = NonNullable<TrafficPolicySpec['healthChecks']>[number]

function healthCheck(check: Check): HealthCheck {
  const idleIntervalMs = readMs(check.idleInterval)
  return {
    intervalMs: readMs(check.interval) ?? 5000,
    jitterMs: readMs(check.jitter) ?? 0,
    timeoutMs: readMs(check.timeout) ?? 1000,
    unhealthyThreshold: check.unhealthyThreshold,
    healthyThreshold: check.healthyThreshold,
    ...(idleIntervalMs === undefined ? {} : { idleIntervalMs }),
    ...(check.port === undefined ? {} : { port: check.port }),
    probe: probe(check),
  }
}

function probe({ http, grpc, tcp }: Check): HealthProbe {
  if (http !== undefined) {
    const { path, host, method, protocol, statuses } = http
    return {
      kind: 'http',
      path,
      method,
      protocol,
      ...(host === undefined ? {} : { host }),
      expectedStatuses: statuses?.map(({ from, to }) => ({ from, to: to + 1 })) ?? [
        { from: 200, to: 201 },
      ],
    }
  }
  if (grpc !== undefined) {
    const { service, authority } = grpc
    return { kind: 'grpc', service, ...(authority === undefined ? {} : { authority }) }
  }
  const bytes = (text: string) => new TextEncoder().encode(text)
  return {
    kind: 'tcp',
    ...(tcp?.send === undefined || tcp.send === '' ? {} : { send: bytes(tcp.send) }),
    receive: (tcp?.receive ?? []).map(bytes),
  }
}

function readMs(text: string | undefined): number | undefined {
  return text === undefined ? undefined : parseDurationMs(text)
}

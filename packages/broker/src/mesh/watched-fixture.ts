/** Test support: a broker whose calls all go to one cluster of the mesh, watched, on a fake clock. */
import { type Cluster, type HashPolicy, NO_LIMITS, type RetryPolicy, SAFE_RETRY } from '@weft/model'
import { eventually, FakeClock, seededRandom } from '@weft/testkit'
import { hashRequest } from '@weft/traffic'
import type { Broker } from '../broker.ts'
import { type HelloOptions, openBroker, type TestClient } from '../broker-fixture.ts'
import type { Leg } from '../leg.ts'
import type { RequestCall } from '../request-call.ts'
import type { CallObserver, ForwardVerdict } from '../router.ts'
import { BrokerCluster } from './broker-cluster.ts'
import { WatchedCall } from './watched-call.ts'
import type { WorkloadKind } from './workload-feeds.ts'

const ADDRESS = { host: '10.0.0.1', port: 80 }
const NOWHERE = { region: '', zone: '', subZone: '' }

const PLAIN_CLUSTER: Cluster = {
  name: 'outbound|80||s.default.svc.cluster.local',
  discovery: { kind: 'eds', name: 's' },
  loadBalancer: { kind: 'leastRequest', choices: 2 },
  connectTimeoutMs: 1_000,
  limits: NO_LIMITS,
  http: {
    protocol: 'http1',
    idleTimeoutMs: 0,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 0,
  },
  origins: [],
}

export const RETRY: RetryPolicy = { ...SAFE_RETRY, on: ['5xx'], attempts: 2 }

export interface WatchedOptions {
  readonly cluster?: Partial<Cluster>
  readonly retry?: RetryPolicy
  readonly perTryMs?: number
  readonly timeoutMs?: number
  readonly hash?: readonly HashPolicy[]
}

export interface Watched {
  readonly broker: Broker
  readonly clock: FakeClock
  readonly caller: TestClient
  readonly cluster: BrokerCluster
  /** Flags of calls that are over. */
  readonly flags: string[]
  /** An instance of service `s`. */
  dial(hello?: HelloOptions): Promise<TestClient>
}

export async function openWatched(options: WatchedOptions = {}): Promise<Watched> {
  const clock = new FakeClock()
  const random = seededRandom(7)
  const kind = { legs: new Set() } as unknown as WorkloadKind
  const nowMs = () => clock.monotonicMs()
  const flags: string[] = []
  const observer: CallObserver = {
    onItem() {},
    onEnd: ({ flag, refusal }) => void flags.push(refusal?.flag ?? flag),
  }
  let version = 0
  const endpoint = { address: ADDRESS, weight: 1, health: 'healthy' } as const
  const locality = { locality: NOWHERE, priority: 0, weight: 1, endpoints: [endpoint] }
  const cluster = new BrokerCluster(
    {
      model: { ...PLAIN_CLUSTER, ...options.cluster },
      endpoints: { name: 's', localities: [locality] },
    },
    { clock, random, nowMs, version: () => version, kindAt: () => kind },
  )
  const forward = (caller: Leg, call: RequestCall) =>
    ({
      kind: 'forward',
      isLasting: false,
      observer,
      retries: (options.retry ?? SAFE_RETRY).attempts,
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
      pick: () => undefined,
      watch: () => {
        const { hash } = hashRequest(options.hash ?? [], {
          request: call,
          sourceHost: caller.socket.remoteAddress.host,
          createCookieValue: () => '',
        })
        const { retry, perTryMs = 0 } = options
        const wish = { caller, route: call.route, hash }
        return new WatchedCall(
          { cluster, wish, request: call, retry, perTryMs, admit: (leg) => leg },
          { random, nowMs, wallMs: () => clock.nowMs() },
        )
      },
    }) satisfies ForwardVerdict
  const { broker, dial } = await openBroker(
    {},
    {
      clock,
      random,
      onOpen(leg) {
        if (leg.facts.instance?.services.length === 0) return
        kind.legs.add(leg)
        version++
      },
      onGone(leg) {
        kind.legs.delete(leg)
        version++
      },
      router: ({ service }) => ({
        version: 0,
        route: (leg, call) => service.answer(leg, call) ?? forward(leg, call),
      }),
    },
  )
  const caller = await dial({ app: 'caller' })
  return {
    ...{ broker, clock, caller, cluster, flags },
    dial: (hello = {}) => dial({ services: ['s'], ...hello }),
  }
}

/** Lets time pass until `check` holds: frames travel in turns of the event loop, not in time. */
export async function passing(clock: FakeClock, stepMs: number, check: () => void): Promise<void> {
  await eventually(() => {
    clock.advance(stepMs)
    check()
  })
}

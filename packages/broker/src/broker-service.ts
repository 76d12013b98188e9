/**
 * The services that the broker answers itself: `weft.broker.hello` (the readiness probe of
 * links: SETUP has no answer of its own), `.services`, `.health`, and the health check that
 * Alibaba's SDK makes.
 */
import { RSOCKET_ERROR } from '@weft/wire'
import type { Leg } from './leg.ts'
import type { Registry } from './registry.ts'
import type { RequestCall } from './request-call.ts'
import type { RouteVerdict } from './router.ts'
import { METRICS_SERVICE } from './scrape/metrics-call.ts'

const OWN_SERVICE = 'weft.broker'
const ALIBABA_HEALTH = 'com.alibaba.rsocket.health.RSocketServiceHealth'
/** Hessian's form of 1: serving. */
const HESSIAN_SERVING = Buffer.of(0x91)

export interface Welcome {
  readonly broker: string
  readonly brokers: readonly string[]
  /** Of each of them; absent: not known. */
  readonly zones?: readonly string[]
  readonly maxFrame: number
}

export class BrokerService {
  readonly #welcome: () => Welcome
  readonly #registry: Registry

  constructor(welcome: () => Welcome, registry: Registry) {
    this.#welcome = welcome
    this.#registry = registry
  }

  /** Undefined: the call is for somebody else. */
  answer(leg: Leg, call: RequestCall): RouteVerdict | undefined {
    const { service, method } = call.route
    if (service === ALIBABA_HEALTH && leg.facts.isAlibaba) {
      return { kind: 'answer', data: HESSIAN_SERVING }
    }
    if (service === METRICS_SERVICE) {
      return {
        kind: 'refuse',
        code: RSOCKET_ERROR.denied,
        message: 'brokers alone ask for metrics',
      }
    }
    if (service !== OWN_SERVICE) return undefined
    if (call.interaction !== 'rr') {
      return {
        kind: 'refuse',
        code: RSOCKET_ERROR.invalid,
        message: `${call.key} is asked by request/response`,
      }
    }
    if (method === 'hello') return json(this.#welcome())
    if (method === 'health') return json({ status: 'serving' })
    if (method === 'services') return json(Object.fromEntries(this.#registry.services))
    return {
      kind: 'refuse',
      code: RSOCKET_ERROR.rejected,
      message: `WEFT-404 the broker has no ${call.key}`,
    }
  }
}

function json(value: unknown): RouteVerdict {
  return { kind: 'answer', data: Buffer.from(JSON.stringify(value)) }
}

/**
 * A broker at the edge is a client of another one: it offers there what its own instances export
 * (`weft.io/export=global`), and asks there for what nobody has here. Who may call what is decided
 * at each of the two, by its own policies.
 *
 *     requester ─► this broker ─(nobody here)─► link ─► upstream broker
 *     exported instance ◄─ this broker ◄─ link ◄─ requester at the upstream
 */
import { randomUUID } from 'node:crypto'
import type { Clock, Logger } from '@weft/base'
import { type BrokerTarget, Link, openCarrier, renderTarget } from '@weft/rsocket/link'
import {
  EVENT_MIME,
  gsvServiceKey,
  RSOCKET_ERROR,
  type RSocketPayload,
  type RSocketStream,
  renderComposite,
  renderMetadataPush,
} from '@weft/wire'
import type { Broker } from '../broker.ts'
import type { Leg } from '../leg.ts'
import { attachLocalPeer, type LocalPeer, OWN_FACTS } from '../local-peer.ts'
import type { InstanceFacts, OfferedService } from '../peer-facts.ts'
import { type RequestCall, readRequestCall } from '../request-call.ts'
import type { RouteVerdict } from '../router.ts'
import { relayStream } from './relay-stream.ts'

export interface UpstreamOptions {
  /** Of this broker: `edge-<id>` is its name at the upstream. */
  readonly id: string
  readonly target: BrokerTarget
  /** The bearer token of each connection; undefined: none. */
  readonly token?: () => string | undefined
}

export interface UpstreamDeps {
  readonly clock: Clock
  readonly log: Logger
  /** Uniform in [0, 1). */
  readonly random: () => number
}

const EXPORT_LABEL = 'weft.io/export'
const GLOBAL = 'global'
/** How soon a change of what is exported is told. */
const LOOK_MS = 1_000
/** All of it is said again so often: the upstream may have missed something. */
const REPEAT_LOOKS = 10

/** HTTP services and others are different instances to a broker. */
interface Face {
  readonly isHttp: boolean
  readonly instance: string
  readonly link: Link
  /** What the upstream has heard, as JSON by key. */
  told: ReadonlyMap<string, OfferedService>
}

export class Upstream {
  readonly #options: UpstreamOptions
  readonly #deps: UpstreamDeps
  readonly #faces: readonly Face[]
  #broker: Broker | undefined
  /** Asks here for the upstream. */
  #caller: LocalPeer | undefined
  /** Answers here for the upstream. */
  #answerer: LocalPeer | undefined
  #looks = 0
  #cancel: () => void = () => undefined

  constructor(options: UpstreamOptions, deps: UpstreamDeps) {
    this.#options = options
    this.#deps = deps
    this.#faces = [this.#face(false), this.#face(true)]
  }

  open(broker: Broker): void {
    this.#broker = broker
    for (const { link } of this.#faces) link.open()
    this.#lookLater()
  }

  get status() {
    const { target } = this.#options
    const [face] = this.#faces
    return {
      broker: renderTarget(target),
      link: face?.link.peer === undefined ? 'down' : 'up',
      problem: face?.link.problem ?? '',
      exported: this.#faces.flatMap(({ told }) => [...told.values()].map(({ service }) => service)),
    }
  }

  #face(isHttp: boolean): Face {
    const { target, token } = this.#options
    const instance = randomUUID()
    const link = new Link(
      {
        broker: renderTarget(target),
        dial: (handler) => openCarrier(target, handler),
        hello: () => this.#hello(face),
        ...(token === undefined ? {} : { token }),
      },
      { ...this.#deps, onRequest: (stream, payload) => this.#onRequest(stream, payload) },
    )
    const face: Face = { isHttp, instance, link, told: new Map() }
    return face
  }

  #hello(face: Face): Readonly<Record<string, unknown>> {
    face.told = this.#exported(face.isHttp)
    return {
      ...{ v: 1, instance: face.instance, app: `edge-${this.#options.id}`, link: 0 },
      services: [...face.told.values()].map(nameOf),
      features: face.isHttp ? ['http', 'mpush', 'goaway'] : ['mpush', 'goaway'],
    }
  }

  /** What is to be offered at the upstream, by key. */
  #exported(isHttp: boolean): ReadonlyMap<string, OfferedService> {
    const services = this.#exporting(isHttp).flatMap((instance) => instance.services)
    return new Map(services.map((service) => [gsvServiceKey(service), service]))
  }

  #exporting(isHttp: boolean): readonly InstanceFacts[] {
    return (this.#broker?.registry.legs ?? []).flatMap(({ facts, isServing }) => {
      const { instance, features } = facts
      const isMeant = isServing && features.has('http') === isHttp
      return isMeant && instance?.labels[EXPORT_LABEL] === GLOBAL ? [instance] : []
    })
  }

  #lookLater(): void {
    this.#cancel = this.#deps.clock.after(LOOK_MS, () => {
      this.#lookLater()
      const isRepeat = ++this.#looks % REPEAT_LOOKS === 0
      for (const face of this.#faces) this.#tell(face, isRepeat)
    })
  }

  #tell(face: Face, isRepeat: boolean): void {
    const { peer } = face.link
    if (peer === undefined) return
    const now = this.#exported(face.isHttp)
    const added = [...now].filter(([key]) => isRepeat || !face.told.has(key))
    const gone = [...face.told].filter(([key]) => !now.has(key))
    face.told = now
    if (added.length + gone.length === 0) return
    const services = {
      add: added.map(([, service]) => nameOf(service)),
      remove: gone.map(([, service]) => nameOf(service)),
      seq: this.#looks,
    }
    const content = Buffer.from(JSON.stringify({ services }))
    peer.write(renderMetadataPush(renderComposite([{ mime: EVENT_MIME, content }])))
  }

  /** Somebody at the upstream asks for what is exported; nothing else is there for them. */
  #onRequest(stream: RSocketStream, payload: RSocketPayload): void {
    const { metadata = new Uint8Array(0) } = payload
    const call = readRequestCall(
      ...([stream.interaction, metadata, 0, metadata.length, 'composite', undefined] as const),
    )
    if (typeof call === 'string') stream.fail(RSOCKET_ERROR.invalid, call)
    else if (!this.#isExported(call)) {
      stream.fail(RSOCKET_ERROR.rejected, `WEFT-404 ${call.key} is not exported`)
    } else relayStream(stream, payload, this.#callerOn().peer)
  }

  #isExported({ route, isHttp, authority }: RequestCall): boolean {
    if (isHttp) return isExportedHost(authority, this.#exporting(true))
    const { service, method } = route
    const names = new Set([...this.#exported(false).values()].map((each) => each.service))
    return names.has(service) || names.has(`${service}.${method}`)
  }

  #callerOn(): LocalPeer {
    const broker = this.#broker
    if (broker === undefined) throw new Error('Cannot ask: the upstream link is not open')
    if (this.#caller === undefined || this.#caller.leg.closed) {
      this.#caller = attachLocalPeer(broker, OWN_FACTS)
      broker.introduce(this.#caller.leg)
    }
    return this.#caller
  }

  /** The way of a call that nobody here answers; undefined: it has none. */
  fallback(leg: Leg, _call: RequestCall): RouteVerdict | undefined {
    const broker = this.#broker
    // What came from there does not go back.
    if (broker === undefined || leg === this.#caller?.leg) return undefined
    if (this.#peer === undefined) return undefined
    if (this.#answerer === undefined || this.#answerer.leg.closed) {
      this.#answerer = attachLocalPeer(broker, OWN_FACTS, (stream, payload) => {
        const peer = this.#peer
        if (peer === undefined) stream.fail(RSOCKET_ERROR.rejected, 'WEFT-503 no upstream broker')
        else relayStream(stream, payload, peer)
      })
    }
    const { leg: way } = this.#answerer
    return {
      kind: 'forward',
      isLasting: false,
      retries: 0,
      pick: (tried) => (tried.length === 0 ? way : undefined),
    }
  }

  get #peer() {
    const up = this.#faces.map(({ link }) => link).filter(({ peer }) => peer !== undefined)
    return (up.find(({ leaving }) => !leaving) ?? up[0])?.peer
  }

  close(): void {
    this.#cancel()
    for (const { link } of this.#faces) link.close()
    this.#caller?.leg.close()
    this.#answerer?.leg.close()
  }
}

function nameOf({ service, group, version, port }: OfferedService) {
  return {
    name: service,
    ...(group === '' ? {} : { group }),
    ...(version === '' ? {} : { version }),
    ...(port === undefined ? {} : { port }),
  }
}

/** @param authority `name`, or `name.namespace` with whatever follows: of another namespace it is another service. */
export function isExportedHost(
  authority: string,
  exporting: readonly Pick<InstanceFacts, 'namespace' | 'services'>[],
): boolean {
  const [name, namespace] = authority.replace(/:\d+$/, '').split('.')
  return exporting.some(
    (instance) =>
      (namespace === undefined || namespace === instance.namespace) &&
      instance.services.some(({ service }) => service === name),
  )
}

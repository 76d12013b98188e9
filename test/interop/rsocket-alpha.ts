/** npm `rsocket-core` 1.0.0-alpha.3 as a program that dials a broker. */
import { connect as connectTls } from 'node:tls'
import {
  type ClientTransport,
  type OnNextSubscriber,
  type OnTerminalSubscriber,
  type Payload,
  type RSocket,
  RSocketConnector,
  type RSocketError,
} from 'rsocket-core'
import { TcpClientTransport } from 'rsocket-tcp-client'
import { WebsocketClientTransport } from 'rsocket-websocket-client'
import { WebSocket } from 'ws'
import {
  answered,
  CHANNEL_ITEMS,
  type DialOptions,
  errorText,
  FAIL,
  FAILURE,
  type Program,
  type ProgramKind,
  routed,
  STREAM_ITEMS,
  setupOptions,
  text,
} from './rsocket-program.ts'

type Subscriber = OnNextSubscriber & OnTerminalSubscriber

const NOTHING = { cancel() {}, onExtension() {} }

export const alpha: ProgramKind = {
  name: '1.0.0-alpha.3',
  skip: false,
  grantsLeases: false,
  sendsFragments: true,
  async dial(options) {
    const connector = new RSocketConnector({
      setup: setupOptions(options),
      transport: transportOf(options),
      responder: responderOf(options),
      ...(options.leaseRequests === undefined ? {} : { lease: {} }),
      ...resumption(options),
      ...(options.fragmentBytes === undefined
        ? {}
        : { fragmentation: { maxOutboundFragmentSize: options.fragmentBytes } }),
    })
    return programOf(await connector.connect())
  },
}

function resumption({ resumeToken }: DialOptions) {
  if (resumeToken === undefined) return {}
  const tokenGenerator = () => Buffer.from(resumeToken)
  // It asks for each attempt, whatever it was refused with, and after it was closed too.
  const reconnectFunction = (attempt: number) =>
    attempt === 0 ? Promise.resolve() : Promise.reject(new Error('enough'))
  return { resume: { tokenGenerator, reconnectFunction } }
}

function transportOf(options: DialOptions): ClientTransport {
  const { carrier, port, caPem, certPem, keyPem, isSvid = false } = options
  if (carrier === 'ws') {
    return new WebsocketClientTransport({
      url: `ws://127.0.0.1:${port}/`,
      wsCreator: (url) => new WebSocket(url) as unknown as globalThis.WebSocket,
    })
  }
  return new TcpClientTransport({
    connectionOptions: { host: '127.0.0.1', port },
    ...(carrier === 'tls'
      ? {
          socketCreator: () =>
            connectTls({
              ...{ host: '127.0.0.1', port, ca: caPem, servername: 'localhost' },
              ...(certPem === undefined ? {} : { cert: certPem, key: keyPem }),
              ...(isSvid ? { checkServerIdentity: () => undefined } : {}),
            }),
        }
      : {}),
  })
}

function responderOf({ onFireAndForget, answer }: DialOptions): Partial<RSocket> {
  return {
    requestResponse(payload, out) {
      if (text(payload.data) === FAIL) out.onError(new Error(FAILURE))
      else if (answer === undefined) out.onNext({ data: payload.data }, true)
      else void answered(answer, text(payload.data)).then((data) => out.onNext({ data }, true))
      return NOTHING
    },
    requestStream(payload, initialN, out) {
      let sent = 0
      const request = (n: number) => {
        for (let i = 0; i < n && sent < STREAM_ITEMS; i++) {
          out.onNext({ data: payload.data }, ++sent === STREAM_ITEMS)
        }
      }
      request(initialN)
      return { ...NOTHING, request }
    },
    requestChannel(payload, _initialN, _isCompleted, out) {
      setImmediate(() => out.request(10))
      out.onNext({ data: payload.data }, false)
      return {
        ...NOTHING,
        onNext: (item, isComplete) => out.onNext({ data: item.data }, isComplete),
        onComplete: () => out.onComplete(),
        onError() {},
        request() {},
      }
    },
    fireAndForget(payload) {
      onFireAndForget?.(text(payload.data))
      return NOTHING
    },
  }
}

/** Resolves with what came, the error last. */
function collect(begin: (subscriber: Subscriber) => void): Promise<string[]> {
  return new Promise((resolve) => {
    const items: string[] = []
    begin({
      onNext(payload: Payload, isComplete: boolean) {
        items.push(text(payload.data))
        if (isComplete) resolve(items)
      },
      onComplete: () => resolve(items),
      onError: (error) =>
        resolve([...items, errorText((error as RSocketError).code, error.message)]),
    })
  })
}

function programOf(socket: RSocket): Program {
  return {
    response: (key, data) =>
      collect((subscriber) =>
        socket.requestResponse(routed(key, data), { ...NOTHING, ...subscriber }),
      ),
    stream: (key, data, initialN) =>
      collect((subscriber) => {
        const asked = socket.requestStream(routed(key, data), initialN, {
          ...NOTHING,
          ...subscriber,
          onNext(payload, isComplete) {
            subscriber.onNext(payload, isComplete)
            if (!isComplete) asked.request(1)
          },
        })
      }),
    first: (key, data) =>
      collect((subscriber) => {
        const asked = socket.requestStream(routed(key, data), 1, {
          ...NOTHING,
          ...subscriber,
          onNext(payload) {
            asked.cancel()
            subscriber.onNext(payload, true)
          },
        })
      }),
    channel: (key, data) =>
      collect((subscriber) => {
        let at = 0
        const asked = socket.requestChannel(routed(key, `${data}0`), 100, false, {
          ...NOTHING,
          ...subscriber,
          request(n) {
            for (let i = 0; i < n && at < CHANNEL_ITEMS - 1; i++) {
              at++
              asked.onNext({ data: Buffer.from(`${data}${at}`) }, at === CHANNEL_ITEMS - 1)
            }
          },
        })
      }),
    fireAndForget: (key, data) =>
      void socket.fireAndForget(routed(key, data), { onError() {}, onComplete() {} }),
    close: () => socket.close(),
  }
}

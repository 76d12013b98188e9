/** The metrics of the application beside an agent, for the broker that asks on behalf of Prometheus. */
import { type Agent, request as askHttp } from 'node:http'
import { RSOCKET_ERROR, type RSocketStream } from '@weft/wire'
import type { ApplicationAddress } from '../http/application-address.ts'
import { metricsAnswer } from '../scrape/metrics-call.ts'

export interface MetricsSource {
  /** Loopback, or a socket file. */
  readonly address: ApplicationAddress
  readonly path: string
}

/** Below what the broker gives the whole scrape. */
const TIMEOUT_MS = 4_500
const MAX_BYTES = 8_388_608

/** @param mimes What the scraper takes, the best first. */
export function answerMetrics(
  stream: RSocketStream,
  { address, path }: MetricsSource,
  mimes: readonly string[],
  agent: Agent,
): void {
  const fail = (why: string) => {
    request.destroy()
    if (stream.maySend) stream.fail(RSOCKET_ERROR.applicationError, why)
  }
  const at =
    'path' in address ? { socketPath: address.path } : { host: address.host, port: address.port }
  const request = askHttp({
    ...{ ...at, agent, path, method: 'GET', timeout: TIMEOUT_MS },
    headers: { accept: mimes.join(','), 'accept-encoding': 'identity' },
  })
  stream.handler = {
    onItem() {},
    onComplete() {},
    onError: () => request.destroy(),
    onRequestN() {},
    onCancel: () => request.destroy(),
  }
  request.once('timeout', () => fail(`no metrics within ${TIMEOUT_MS} ms`))
  request.once('error', (error) => fail(`the application's metrics: ${error.message}`))
  request.once('response', (response) => {
    const chunks: Buffer[] = []
    let length = 0
    response.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length > MAX_BYTES) fail(`the metrics are longer than ${MAX_BYTES} bytes`)
      else chunks.push(chunk)
    })
    response.once('error', (error) => fail(`the application's metrics: ${error.message}`))
    response.once('end', () => {
      if (response.statusCode !== 200) {
        fail(`the application answers ${path} with ${response.statusCode}`)
      } else if (stream.maySend) {
        const type = response.headers['content-type'] ?? ''
        stream.next(metricsAnswer(Buffer.concat(chunks), type), true)
      }
    })
  })
  request.end()
}

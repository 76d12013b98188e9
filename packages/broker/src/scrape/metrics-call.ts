/** How instances are asked for their metrics, and how they answer: one request/response. */
import {
  type CompositeEntry,
  METADATA_ID,
  type RSocketPayload,
  readComposite,
  readMimes,
  readRoutingTags,
  renderComposite,
  renderMimes,
  renderRoutingTags,
} from '@weft/wire'

/** Whoever offers it, or has the feature `metrics`, is asked by brokers, and by nobody else. */
export const METRICS_SERVICE = 'weft.metrics'
const METRICS_ROUTE = `${METRICS_SERVICE}.scrape`
const ALIBABA_ROUTE = 'com.alibaba.rsocket.observability.MetricsService.scrape'

const PLAIN = 'text/plain; version=0.0.4; charset=utf-8'
/** What a text of metrics may call itself, in characters that a header can have. */
const METRICS_TYPE = /^(?:text\/plain|application\/openmetrics-text)(?:;[\x20-\x7e]*)?$/

/** @param mimes What the scraper takes, the best first. */
export function metricsRequest(isAlibaba: boolean, mimes: readonly string[]): RSocketPayload {
  const route = isAlibaba ? ALIBABA_ROUTE : METRICS_ROUTE
  // Their SDK has no type for more than text.
  const accepted = isAlibaba ? ['text/plain'] : mimes
  const metadata = renderComposite([
    { mime: METADATA_ID.routing, content: renderRoutingTags([route]) },
    { mime: METADATA_ID.dataMime, content: renderMimes(['text/plain']) },
    { mime: METADATA_ID.acceptMimes, content: renderMimes(accepted) },
  ])
  return { data: new Uint8Array(0), metadata }
}

/** What the scraper takes; undefined: the request is for something else. */
export function readMetricsRequest(
  metadata: Uint8Array | undefined,
): readonly string[] | undefined {
  const entries = (metadata && readComposite(metadata)) ?? []
  const routing = contentOf(entries, 'message/x.rsocket.routing.v0')
  if (routing === undefined || readRoutingTags(routing)?.[0] !== METRICS_ROUTE) return undefined
  const accepted = contentOf(entries, 'message/x.rsocket.accept-mime-types.v0')
  return (accepted && readMimes(accepted)) ?? ['text/plain']
}

export function metricsAnswer(data: Uint8Array, contentType: string): RSocketPayload {
  const mime = METRICS_TYPE.test(contentType) && contentType.length <= 128 ? contentType : PLAIN
  const content = renderMimes([mime])
  return { data, metadata: renderComposite([{ mime: METADATA_ID.dataMime, content }]) }
}

/** As what an answer is passed on; without a word of its own it is Prometheus' text. */
export function contentTypeOf(metadata: Uint8Array | undefined): string {
  const entries = (metadata && readComposite(metadata)) ?? []
  const content = contentOf(entries, 'message/x.rsocket.mime-type.v0')
  const [mime = ''] = (content && readMimes(content)) ?? []
  if (mime === 'text/plain' || !METRICS_TYPE.test(mime)) return PLAIN
  return mime
}

function contentOf(entries: readonly CompositeEntry[], mime: string): Uint8Array | undefined {
  return entries.find((entry) => entry.mime === mime)?.content
}

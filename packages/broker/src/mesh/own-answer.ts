/** Answers of the broker's own: to HTTP callers they are answers like any other, and final. */
import {
  HTTP_ENTRY_MIME,
  type HttpResponseEntry,
  RSOCKET_ERROR,
  renderComposite,
  renderHttpResponse,
} from '@weft/wire'
import type { RequestCall } from '../request-call.ts'
import type { RouteVerdict } from '../router.ts'
import { errorOfStatus } from './error-of-status.ts'

type Fields = HttpResponseEntry['fields']

/** @param change What the route does to each answer. */
export function ownAnswer(
  call: RequestCall,
  status: number,
  body: string,
  change: (head: HttpResponseEntry) => Fields = ({ fields }) => fields,
): RouteVerdict {
  if (call.isHttp) return httpAnswer(status, body, [], change)
  return status < 400
    ? { kind: 'answer', data: Buffer.from(body) }
    : { kind: 'refuse', code: errorOfStatus(status), message: `WEFT-${status} ${body}` }
}

export function httpAnswer(
  status: number,
  text: string,
  more: Fields,
  change: (head: HttpResponseEntry) => Fields = ({ fields }) => fields,
) {
  const data = Buffer.from(text)
  const length = ['content-length', String(data.length)] as const
  const type = data.length === 0 ? [] : ([['content-type', 'text/plain']] as const)
  const head = { status, fields: [...more, length, ...type] }
  const fields = change(head)
  const content = renderHttpResponse({ status, fields })
  const metadata = renderComposite([{ mime: HTTP_ENTRY_MIME, content }])
  return { kind: 'answer', data, metadata, head } as const
}

export function refused(message: string): RouteVerdict {
  return { kind: 'refuse', code: RSOCKET_ERROR.rejected, message }
}

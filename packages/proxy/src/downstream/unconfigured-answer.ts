/** What a client hears when the configuration it waited for did not come. */
import { ascii } from '@weft/wire'
import { failureStatus, failureText } from '../exchange/failures.ts'

/** Without an exchange: there is no configuration that says how to log or what to add. */
export function unconfiguredAnswer(): Uint8Array {
  const body = `${failureText('noConfiguration')}\n`
  return ascii(
    [
      `HTTP/1.1 ${failureStatus('noConfiguration')} Service Unavailable`,
      'content-type: text/plain',
      `content-length: ${body.length}`,
      'connection: close',
      'server: weft',
      '',
      body,
    ].join('\r\n'),
  )
}

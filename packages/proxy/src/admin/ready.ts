/** Whether this proxy should get traffic: 200 only while `LIVE`. */
import { type AdminEndpoint, textAnswer } from './endpoint.ts'

export const ready: AdminEndpoint = {
  path: '/ready',
  method: 'GET',
  summary: 'print server state, return 200 if LIVE, otherwise return 503',
  parameters: {},
  answer(_request, proxy) {
    const state = proxy.state()
    return textAnswer(`${state}\n`, state === 'LIVE' ? 200 : 503)
  },
}

/** Ends the proxy, gracefully: for jobs whose sidecar must go when they are done. */
import { type AdminEndpoint, textAnswer } from './endpoint.ts'

export const quitquitquit: AdminEndpoint = {
  path: '/quitquitquit',
  method: 'POST',
  summary: 'exit the server',
  parameters: {},
  answer(_request, proxy) {
    proxy.quit()
    return textAnswer('OK\n')
  },
}

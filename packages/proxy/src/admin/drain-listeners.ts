/** Stops taking new connections; what runs goes on. */
import { type AdminEndpoint, textAnswer } from './endpoint.ts'

export const drainListeners: AdminEndpoint = {
  path: '/drain_listeners',
  method: 'POST',
  summary: 'drain listeners',
  parameters: {
    graceful: 'answers carry Connection: close for the drain time before sockets close',
    inboundonly: 'only listeners that take traffic for the workload',
    skip_exit: 'accepted; draining listeners never ends the process here',
  },
  answer(request, proxy) {
    proxy.drainListeners({
      graceful: request.query.has('graceful'),
      inboundOnly: request.query.has('inboundonly'),
    })
    return textAnswer('OK\n')
  },
}

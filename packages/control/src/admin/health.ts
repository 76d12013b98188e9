/** `/ready` and `/healthz`: may proxies connect, and is the process alive. */
import { type AdminEndpoint, textAnswer } from './endpoint.ts'

export const ready: AdminEndpoint = {
  path: '/ready',
  method: 'GET',
  access: 'public',
  summary: '200 once the first synchronisation is done',
  answer: (_request, plane) =>
    plane.isReady() ? textAnswer('ready\n') : textAnswer('not synchronised yet\n', 503),
}

export const healthz: AdminEndpoint = {
  path: '/healthz',
  method: 'GET',
  access: 'public',
  summary: '200 while the process answers',
  answer: () => textAnswer('ok\n'),
}

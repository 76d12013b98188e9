/** Replaces the process by one of the program that is on disk now, without losing a connection. */
import { type AdminEndpoint, textAnswer } from './endpoint.ts'

export const upgrade: AdminEndpoint = {
  path: '/upgrade',
  method: 'POST',
  summary: 'start a successor from the program on disk, hand the sockets over, then drain',
  parameters: {},
  answer(_request, proxy) {
    if (proxy.upgrade === undefined) {
      return textAnswer('this proxy is part of another process and cannot be upgraded alone\n', 501)
    }
    proxy.upgrade()
    return textAnswer('OK\n')
  },
}

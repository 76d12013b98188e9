/** Replaces the process by one of the program that is on disk now, without losing a connection. */
import { type AdminEndpoint, textAnswer } from './endpoint.ts'

export const upgrade: AdminEndpoint = {
  path: '/upgrade',
  method: 'POST',
  summary: 'start a successor from the program on disk, hand the sockets over, then drain',
  parameters: { concurrency: 'how many workers the successor has, in place of as many as now' },
  answer({ query }, proxy) {
    if (proxy.upgrade === undefined) {
      return textAnswer('this proxy is part of another process and cannot be upgraded alone\n', 501)
    }
    const text = query.get('concurrency')
    const concurrency = text === null ? undefined : Number(text)
    if (concurrency !== undefined && !(/^\d{1,3}$/.test(text ?? '') && concurrency > 0)) {
      return textAnswer('concurrency must be a number from 1 to 999\n', 400)
    }
    if (!proxy.upgrade(concurrency)) {
      return textAnswer('this process has a successor already, or one that starts\n', 409)
    }
    return textAnswer('OK\n')
  },
}

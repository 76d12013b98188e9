/**
 * What a long-running command tells whoever started it once it is up: as a
 * message on the channel when there is one (`weft demo` starts its processes
 * so), so that nobody parses text to learn a port.
 */

/** Sent as `{ weft: … }`, so that it cannot be mistaken for somebody else's message. */
export interface ReadyReport {
  readonly kind: 'control' | 'gateway' | 'sidecar' | 'agent' | 'broker'
  readonly pid: number
  /** Ports by what they are for: `xds`, `admin`, `outbound`, `app`, `http`. */
  readonly ports: Readonly<Record<string, number>>
}

export function reportReady(report: Omit<ReadyReport, 'pid'>): void {
  if (process.connected) process.send?.({ weft: { ...report, pid: process.pid } })
}

export function readyReportOf(message: unknown): ReadyReport | undefined {
  if (typeof message !== 'object' || message === null || !('weft' in message)) return undefined
  return message.weft as ReadyReport
}

/** Checks that several Istio kinds share. */

import { goDurationMs } from '../schema/go-duration.ts'
import { childPath, itemPath } from '../text/places.ts'
import { isDnsLabel, labelKeyProblem, labelValueProblem } from './names.ts'
import type { Findings } from './rules.ts'

export const UNIX_PREFIX = 'unix://'

const PROTOCOLS = {
  http: 'http',
  http2: 'http',
  http_proxy: 'http',
  grpc: 'http',
  'grpc-web': 'http',
  https: 'tls',
  tls: 'tls',
  tcp: 'tcp',
  mongo: 'tcp',
  redis: 'tcp',
  mysql: 'tcp',
  udp: 'udp',
} as const

export type ProtocolFamily = (typeof PROTOCOLS)[keyof typeof PROTOCOLS]

export const KNOWN_PROTOCOLS = 'HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS, MYSQL'

/** `undefined` for a protocol that Istio does not know; names are read in any case. */
export function protocolFamily(protocol: string): ProtocolFamily | undefined {
  const lower = protocol.toLowerCase()
  return Object.hasOwn(PROTOCOLS, lower) ? PROTOCOLS[lower as keyof typeof PROTOCOLS] : undefined
}

export function checkPort(port: number, path: string, findings: Findings): void {
  if (port >= 1 && port <= 65535) return
  findings.error(path, 'out-of-range', `must be a port between 1 and 65535, got ${port}`)
}

/** At least a millisecond, whole milliseconds. */
export function checkDuration(text: string | undefined, path: string, findings: Findings): void {
  if (text === undefined) return
  const ms = goDurationMs(text)
  // What is no duration at all the schema has reported.
  if (ms === undefined || ms < 0) return
  if (ms < 1) findings.error(path, 'out-of-range', `must be at least 1ms, got ${text}`)
  else if (!isWholeMs(ms)) {
    findings.error(path, 'out-of-range', `must be whole milliseconds, got ${text}`)
  }
}

function isWholeMs(ms: number): boolean {
  return Math.abs(ms - Math.round(ms)) < 1e-7
}

export function checkLabels(
  labels: Readonly<Record<string, string>> | undefined,
  path: string,
  findings: Findings,
): void {
  for (const [key, value] of Object.entries(labels ?? {})) {
    const problem = labelKeyProblem(key) ?? labelValueProblem(value)
    if (problem !== undefined) findings.error(childPath(path, key), 'bad-label', problem)
  }
}

/** A selector's labels: no wildcards, no empty keys; an empty selector selects everything. */
export function checkSelectorLabels(
  labels: Readonly<Record<string, string>> | undefined,
  path: string,
  findings: Findings,
): void {
  const entries = Object.entries(labels ?? {})
  for (const [key, value] of entries) {
    if (key === '') findings.error(path, 'bad-label', 'a label key must not be empty')
    if (key.includes('*') || value.includes('*')) {
      const at = childPath(path, key)
      findings.error(
        at,
        'bad-label',
        'wildcards are not allowed in a selector; write the label out',
      )
    }
  }
  if (entries.length === 0) {
    const message = 'the selector has no labels, so it selects every workload of the namespace'
    findings.warning(path, 'empty-selector', message)
  }
}

export interface ExportOptions {
  readonly namespace: string
  /** ServiceEntry: `~`, visible to nobody. */
  readonly mayBeNone?: boolean
  /** DestinationRule with a workloadSelector: own namespace only. */
  readonly isOwnNamespaceOnly?: boolean
}

export function checkExportTo(
  exportTo: readonly string[] | undefined,
  path: string,
  options: ExportOptions,
  findings: Findings,
): void {
  if (exportTo === undefined || exportTo.length === 0) return
  const { namespace, mayBeNone = false, isOwnNamespaceOnly = false } = options
  const seen = new Set<string>()
  for (const [index, entry] of exportTo.entries()) {
    const key = entry === '.' ? namespace : entry
    const at = itemPath(path, index)
    if (seen.has(key)) {
      const what = entry === key ? `"${entry}"` : `"." and "${namespace}", which is the same,`
      findings.error(at, 'duplicate', `${what} appears twice; remove one`)
      continue
    }
    seen.add(key)
    const problem = exportProblem(entry, mayBeNone)
    if (problem !== undefined) findings.error(at, 'bad-export', problem)
  }
  if (exportTo.length > 1 && (seen.has('*') || seen.has('~'))) {
    const alone = seen.has('*') ? '"*" (everybody)' : '"~" (nobody)'
    findings.error(path, 'bad-export', `${alone} must be the only entry; remove the others`)
  }
  if (isOwnNamespaceOnly && (seen.size > 1 || !seen.has(namespace))) {
    const message = 'a rule with a workloadSelector holds in its own namespace only; write ["."]'
    findings.error(path, 'bad-export', message)
  }
}

function exportProblem(entry: string, mayBeNone: boolean): string | undefined {
  if (entry === '.' || entry === '*' || isDnsLabel(entry)) return undefined
  if (entry === '~') {
    return mayBeNone ? undefined : '"~" (nobody) is allowed for ServiceEntry only; use "." or "*"'
  }
  return `must be ".", "*" or the name of a namespace, got "${entry}"`
}

/** Annotations that Istio's admission refuses on these kinds. */
const REFUSED_ANNOTATIONS: Readonly<Record<string, string>> = {
  'istio.io/dry-run': 'works on AuthorizationPolicy only; remove it',
  'internal.istio.io/webhook-always-reject': 'asks for rejection',
  'internal.istio.io/parent-namespace': 'is internal and may not be set',
  'internal.istio.io/parents': 'is internal and may not be set',
}

export function checkIstioAnnotations(
  annotations: Readonly<Record<string, string>>,
  findings: Findings,
): void {
  for (const key of Object.keys(annotations)) {
    if (!Object.hasOwn(REFUSED_ANNOTATIONS, key)) continue
    const message = REFUSED_ANNOTATIONS[key] ?? ''
    findings.error(childPath('metadata.annotations', key), 'bad-annotation', message)
  }
}

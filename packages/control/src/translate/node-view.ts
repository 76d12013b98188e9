/**
 * What a node says of itself when it connects, as views and registrations.
 * Metadata comes from the network: whatever has the wrong form is as if absent.
 */
import type { OfferedPort, SocketAddress, Workload } from '@weft/model'
import { clientKind, type JsonValue, type XdsNode } from '@weft/xds'
import type { Capture, ProxyView } from './proxy-view.ts'

/** What translation wants to know of a node. */
export function proxyViewOf(node: XdsNode): ProxyView {
  const workload = workloadOf(node)
  const [kind, address] = node.id.split('~')
  const role = node.metadata.WEFT_ROLE ?? (kind === 'router' ? 'gateway' : 'sidecar')
  const isWeft = clientKind(node) === 'weft'
  return {
    role: role === 'gateway' ? 'gateway' : 'sidecar',
    namespace: workload.namespace,
    workload: workload.name,
    labels: workload.labels,
    hasIdentity: hasIdentity(node),
    cluster: workload.cluster,
    locality: workload.locality,
    addresses: isWeft ? [] : addressesOf(node, address),
    capture: captureOf(node),
    offers: isWeft ? offersOf(node) : [],
    portMap: portMapOf(node.metadata.WEFT_PORT_MAP),
    bind: text(node.metadata.WEFT_BIND) ?? '0.0.0.0',
  }
}

/** `sidecar~10.1.2.3~reviews-v1.default~default.svc.cluster.local`, corrected by what the metadata says. */
export function workloadOf(node: XdsNode): Workload {
  const [, , named = ''] = node.id.split('~')
  const dot = named.lastIndexOf('.')
  const { metadata } = node
  const namespace =
    text(metadata.NAMESPACE) ?? (dot > 0 ? named.slice(dot + 1) : undefined) ?? 'default'
  return {
    name: text(metadata.WORKLOAD_NAME) ?? (dot > 0 ? named.slice(0, dot) : named || node.id),
    namespace,
    serviceAccount: text(metadata.SERVICE_ACCOUNT) ?? 'default',
    labels: textMap(metadata.LABELS),
    locality: node.locality,
    cluster: text(metadata.CLUSTER_ID) ?? 'weft',
  }
}

/** A stock Envoy says so, too, where its bootstrap has the secrets `default` and `ROOTCA`. */
export function hasIdentity({ metadata }: XdsNode): boolean {
  return text(metadata.WEFT_IDENTITY) !== undefined
}

/** Offers without what an endpoint needs are left out. */
export function offersOf(node: XdsNode): readonly OfferedPort[] {
  const { WEFT_OFFERS: offers } = node.metadata
  if (!Array.isArray(offers)) return []
  return offers.flatMap((value: JsonValue) => {
    const fields = record(value)
    const service = text(fields.service)
    const port = portNumber(fields.port)
    const address = text(fields.address)
    const listenPort = portNumber(fields.listenPort)
    if (service === undefined || port === undefined) return []
    if (address === undefined || listenPort === undefined) return []
    return [
      {
        service,
        port,
        protocol: text(fields.protocol) ?? 'http',
        address,
        listenPort,
        appAddress: text(fields.appAddress) ?? '127.0.0.1',
        appPort: portNumber(fields.appPort) ?? port,
      },
    ]
  })
}

function explicitCapture(node: XdsNode): Capture {
  const outbound = socketAddress(node.metadata.WEFT_OUTBOUND)
  return outbound === undefined ? { kind: 'explicit' } : { kind: 'explicit', outbound }
}

/** Istio's agent lists all addresses of the pod; the id carries the first. */
function addressesOf(node: XdsNode, first: string | undefined): readonly string[] {
  const listed = text(node.metadata.INSTANCE_IPS)?.split(',') ?? []
  return [...new Set([first ?? '', ...listed])].filter((address) => address !== '')
}

function socketAddress(value: JsonValue | undefined): SocketAddress | undefined {
  const fields = record(value)
  const host = text(fields.address) ?? text(fields.host)
  const port = portNumber(fields.port)
  return host === undefined || port === undefined ? undefined : { host, port }
}

function portMapOf(value: JsonValue | undefined): ReadonlyMap<number, number> {
  const map = new Map<number, number>()
  for (const [from, to] of Object.entries(record(value))) {
    const port = portNumber(to)
    if (/^\d+$/.test(from) && port !== undefined) map.set(Number(from), port)
  }
  return map
}

function textMap(value: JsonValue | undefined): Readonly<Record<string, string>> {
  const entries = Object.entries(record(value)).flatMap(([key, one]) =>
    typeof one === 'string' ? [[key, one] as const] : [],
  )
  return Object.fromEntries(entries)
}

function record(value: JsonValue | undefined): { readonly [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as { readonly [key: string]: JsonValue })
    : {}
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function portNumber(value: JsonValue | undefined): number | undefined {
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 65_535
    ? number
    : undefined
}

function captureOf(node: XdsNode): Capture {
  switch (clientKind(node)) {
    case 'weft':
      return explicitCapture(node)
    case 'grpc':
      return { kind: 'proxyless' }
    case 'envoy':
      return { kind: 'redirect' }
  }
}

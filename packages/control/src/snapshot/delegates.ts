/**
 * `http[].delegate`: a VirtualService that leaves the rules for some requests to
 * others. Istio's rules: what both say must agree, else the delegate's rule is
 * left out; what the delegate leaves open comes from the root. One level.
 */
import type { DocumentOf, HttpMatch, HttpRouteRule } from '@weft/config'
import { resolveHost } from './hosts.ts'
import type { MeshSettings } from './mesh-settings.ts'
import { isVisible } from './visibility.ts'

type VirtualService = DocumentOf<'VirtualService'>

interface Merged {
  readonly parts: readonly (VirtualService | undefined)[]
  readonly document: VirtualService
}

/** By root, so that nothing is new while root and delegates are the same. */
const known = new WeakMap<VirtualService, Merged>()

/** The same objects where nothing is delegated. */
export function withDelegates(
  documents: readonly VirtualService[],
  mesh: MeshSettings,
  domain: string,
): readonly VirtualService[] {
  const find = (name: string, namespace: string, from: string) =>
    documents.find(
      ({ metadata, spec }) =>
        metadata.name === name &&
        metadata.namespace === namespace &&
        isVisible(spec.exportTo, mesh.defaultVirtualServiceExportTo, namespace, from),
    )
  return documents.map((root) => {
    const rules = root.spec.http ?? []
    if (!rules.some(({ delegate }) => delegate !== undefined)) return root
    const { namespace } = root.metadata
    const parts = rules.map(({ delegate }) =>
      delegate === undefined
        ? undefined
        : find(delegate.name ?? '', delegate.namespace || namespace, namespace),
    )
    const before = known.get(root)
    if (before?.parts.every((part, index) => part === parts[index]) === true) return before.document
    const document = merge(root, parts, domain)
    known.set(root, { parts, document })
    return document
  })
}

function merge(
  root: VirtualService,
  parts: readonly (VirtualService | undefined)[],
  domain: string,
): VirtualService {
  const http: HttpRouteRule[] = []
  const sources: number[] = []
  for (const [index, rule] of (root.spec.http ?? []).entries()) {
    const own = rule.delegate === undefined ? [rule] : delegated(rule, parts[index], domain)
    http.push(...own)
    sources.push(...own.map(() => index))
  }
  return {
    ...root,
    spec: { ...root.spec, http },
    // A merged rule was written where the root delegates it.
    lineOf: (path) =>
      root.lineOf(
        path.replace(
          /^spec\.http\[(\d+)\]/,
          (_all, index: string) => `spec.http[${sources[Number(index)] ?? index}]`,
        ),
      ),
  }
}

function delegated(
  root: HttpRouteRule,
  delegate: VirtualService | undefined,
  domain: string,
): readonly HttpRouteRule[] {
  if (delegate === undefined) return []
  const { namespace } = delegate.metadata
  return (delegate.spec.http ?? []).flatMap((rule) => {
    const match = mergeMatches(root.match ?? [], rule.match ?? [])
    if (match === undefined) return []
    const { delegate: _delegate, match: _match, name: _name, ...open } = root
    const { delegate: _nested, match: _own, ...said } = qualified(rule, namespace, domain)
    const name = joined(root.name, rule.name)
    return [
      {
        ...open,
        ...said,
        ...(name === '' ? {} : { name }),
        ...(match.length === 0 ? {} : { match }),
      },
    ]
  })
}

/** Short names of a delegate are of its own namespace. */
function qualified(rule: HttpRouteRule, namespace: string, domain: string): HttpRouteRule {
  const whole = <D extends { readonly host: string }>(destination: D): D => ({
    ...destination,
    host: resolveHost(destination.host, namespace, domain),
  })
  const { route, mirror, mirrors } = rule
  return {
    ...rule,
    ...(route === undefined
      ? {}
      : { route: route.map((one) => ({ ...one, destination: whole(one.destination) })) }),
    ...(mirror === undefined ? {} : { mirror: whole(mirror) }),
    ...(mirrors === undefined
      ? {}
      : { mirrors: mirrors.map((one) => ({ ...one, destination: whole(one.destination) })) }),
  }
}

/** `undefined` when one of the delegate's matches agrees with none of the root's. */
function mergeMatches(
  root: readonly HttpMatch[],
  delegate: readonly HttpMatch[],
): readonly HttpMatch[] | undefined {
  if (root.length === 0) return delegate
  if (delegate.length === 0) return root
  const merged: HttpMatch[] = []
  for (const leaf of delegate) {
    const fitting = root.filter((one) => agrees(one, leaf))
    if (fitting.length === 0) return undefined
    merged.push(...fitting.map((one) => mergeMatch(one, leaf)))
  }
  return merged
}

function mergeMatch(root: HttpMatch, leaf: HttpMatch): HttpMatch {
  const name = joined(root.name, leaf.name)
  const maps = ['headers', 'withoutHeaders', 'queryParams', 'sourceLabels'] as const
  const both = Object.fromEntries(
    maps
      .filter((field) => root[field] !== undefined || leaf[field] !== undefined)
      .map((field) => [field, { ...root[field], ...leaf[field] }]),
  )
  return { ...root, ...leaf, ...both, ...(name === '' ? {} : { name }) }
}

interface Text {
  readonly exact?: string
  readonly prefix?: string
  readonly regex?: string
}

function agrees(root: HttpMatch, leaf: HttpMatch): boolean {
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const) {
    if (!isWithin(root[field], leaf[field])) return false
  }
  for (const field of ['headers', 'withoutHeaders', 'queryParams'] as const) {
    for (const [key, one] of Object.entries(leaf[field] ?? {})) {
      if (!isWithin(root[field]?.[key], one)) return false
    }
  }
  for (const [key, value] of Object.entries(leaf.sourceLabels ?? {})) {
    const wanted = root.sourceLabels?.[key]
    if (wanted !== undefined && wanted !== value) return false
  }
  const differs = <T>(a: T | undefined, b: T | undefined) =>
    a !== undefined && b !== undefined && a !== b
  if (differs(root.port, leaf.port) || differs(root.sourceNamespace, leaf.sourceNamespace)) {
    return false
  }
  const gateways = new Set(root.gateways ?? leaf.gateways ?? [])
  return (leaf.gateways ?? []).every((one) => gateways.has(one))
}

/** Whether everything that `leaf` matches `root` matches too, as far as texts show it. */
function isWithin(root: Text | undefined, leaf: Text | undefined): boolean {
  if (root === undefined || leaf === undefined) return true
  if (root.exact !== undefined) return leaf.exact === root.exact
  const { prefix } = root
  if (prefix === undefined) return root.regex === undefined
  return (leaf.exact ?? leaf.prefix)?.startsWith(prefix) === true
}

function joined(root: string | undefined, own: string | undefined): string {
  return [root, own].filter((one) => one !== undefined && one !== '').join('-')
}

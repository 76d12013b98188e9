/** Names of hosts, labels and ports: Istio's rules (any case) and Kubernetes' (lower case). */

/** Istio's DNS label: letters of any case, digits, inner hyphens, at most 63. */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && DNS_LABEL.test(text)
}

const DNS_LABEL = /^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$/
const WILDCARD_LABEL = /^(?:\*|(?:\*|\*-)?[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?)$/
const NUMBER = /^[-+]?\d+$/

/** What is wrong with a fully written domain name, or nothing. A final dot is allowed. */
export function fqdnProblem(name: string): string | undefined {
  return lengthProblem(name) ?? labelsProblem(name, name)
}

/** A domain name whose first label may be, or begin with, `*`. */
export function wildcardDomainProblem(name: string): string | undefined {
  const tooLong = lengthProblem(name)
  if (tooLong !== undefined) return tooLong
  const dot = name.indexOf('.')
  const first = dot === -1 ? name : name.slice(0, dot)
  if (first.length > 63 || !WILDCARD_LABEL.test(first)) return labelProblem(name, first)
  return dot === -1 ? undefined : labelsProblem(name.slice(dot + 1), name)
}

/** A `*` that is not a whole first label, e.g. `*foo.com`. */
export function isPartialWildcard(host: string): boolean {
  return host.includes('*') && host.length !== 1 && !host.startsWith('*.')
}

function lengthProblem(name: string): string | undefined {
  if (name === '') return 'must not be empty; write a host name'
  return name.length > 255 ? `is too long: ${name.length} characters, at most 255` : undefined
}

function labelsProblem(domain: string, shown: string): string | undefined {
  const labels = domain.split('.')
  const last = labels.at(-1) ?? ''
  if (NUMBER.test(last)) {
    return `"${shown}" is not a host name: its last label "${last}" must not be a number`
  }
  const bad = labels.find((label, index) =>
    label === '' ? index !== labels.length - 1 : !isDnsLabel(label),
  )
  return bad === undefined ? undefined : labelProblem(shown, bad)
}

function labelProblem(name: string, label: string): string {
  const what = label === '' ? 'an empty label' : `the label "${label.slice(0, 80)}"`
  return `"${name.slice(0, 120)}" is not a host name: ${what} must be letters, digits and inner hyphens, at most 63; a "*" may only begin the first label`
}

/** Whether two hosts, each possibly with a leading `*`, can mean the same request. */
export function hostsOverlap(a: string, b: string): boolean {
  if (!a.startsWith('*')) return b.startsWith('*') ? a.endsWith(b.slice(1)) : a === b
  if (!b.startsWith('*')) return b.endsWith(a.slice(1))
  return a.length < b.length ? b.slice(1).endsWith(a.slice(1)) : a.slice(1).endsWith(b.slice(1))
}

/** Whether everything that `inner` means is meant by `outer` too. */
export function isHostWithin(inner: string, outer: string): boolean {
  if (!outer.startsWith('*')) return inner === outer
  if (!inner.startsWith('*')) return inner.endsWith(outer.slice(1))
  return inner.length >= outer.length && inner.slice(1).endsWith(outer.slice(1))
}

const QUALIFIED = /^(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/

/** The key of a label or annotation: an optional DNS name and `/`, then a name of at most 63. */
export function labelKeyProblem(key: string): string | undefined {
  const slash = key.lastIndexOf('/')
  const prefix = slash === -1 ? undefined : key.slice(0, slash)
  const name = key.slice(slash + 1)
  if (prefix !== undefined && (prefix.length > 253 || !prefix.split('.').every(isDnsLabel))) {
    return `key "${key.slice(0, 80)}": what stands before "/" must be a DNS name`
  }
  if (name.length > 63 || !QUALIFIED.test(name)) {
    return `key "${key.slice(0, 80)}" must be letters, digits, "-", "_" and ".", begin and end with a letter or digit, at most 63`
  }
  return undefined
}

export function labelValueProblem(value: string): string | undefined {
  if (value === '' || (value.length <= 63 && QUALIFIED.test(value))) return undefined
  return `must be letters, digits, "-", "_" and ".", begin and end with a letter or digit, at most 63 characters`
}

/** Kubernetes' `DNS-1123 label`. */
export function isKubernetesLabel(text: string): boolean {
  return text.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text)
}

/** Kubernetes' `DNS-1123 subdomain`: the form of most object names. */
export function isKubernetesSubdomain(text: string): boolean {
  return (
    text.length <= 253 &&
    text.split('.').every((label) => /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(label))
  )
}

/** A named container port, `IANA_SVC_NAME`: at most 15, with a letter, no double hyphen. */
export function isPortName(text: string): boolean {
  return (
    text.length <= 15 &&
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(text) &&
    /[a-z]/.test(text) &&
    !text.includes('--')
  )
}

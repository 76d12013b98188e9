/** AuthorizationPolicies that hold for nobody, or that name namespaces which do not exist. */

import type { DocumentOf } from '../document.ts'
import { itemPath } from '../text/places.ts'
import type { AnalysisIndex } from './analysis-index.ts'
import type { Warn } from './check.ts'
import { checkTarget } from './security-targets.ts'

export function checkAuthorizationPolicies(index: AnalysisIndex, warn: Warn): void {
  const namespaces = index.all('Namespace').map(({ metadata }) => metadata.name)
  for (const document of index.all('AuthorizationPolicy')) {
    checkTarget(document, index, warn)
    if (namespaces.length > 0) checkNamespaces(document, namespaces, warn)
  }
}

function checkNamespaces(
  document: DocumentOf<'AuthorizationPolicy'>,
  known: readonly string[],
  warn: Warn,
): void {
  for (const [at, { from = [] }] of (document.spec.rules ?? []).entries()) {
    for (const [position, { source = {} }] of from.entries()) {
      const place = `${itemPath(`${itemPath('spec.rules', at)}.from`, position)}.source`
      for (const field of ['namespaces', 'notNamespaces'] as const) {
        for (const [place2, value] of (source[field] ?? []).entries()) {
          if (known.some((name) => isMatch(value, name))) continue
          const message = `there is no namespace "${value}"; create it or correct the name`
          const path = itemPath(`${place}.${field}`, place2)
          warn(document, path, 'missing-namespace', message, 'IST0101')
        }
      }
    }
  }
}

/** A star may stand anywhere. */
function isMatch(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return pattern === name
  if (!name.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return name.length - last.length >= at && name.endsWith(last)
}

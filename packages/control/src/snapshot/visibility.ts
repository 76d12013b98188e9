/** Who may see an object: `exportTo` of services, VirtualServices and DestinationRules. */

/**
 * @param exportTo `*` everybody, `.` the object's own namespace, `~` nobody, or
 * namespaces by name; empty takes `fallback`, the mesh's default.
 */
export function isVisible(
  exportTo: readonly string[] | undefined,
  fallback: readonly string[],
  owner: string,
  namespace: string,
): boolean {
  const rules = exportTo === undefined || exportTo.length === 0 ? fallback : exportTo
  if (rules.includes('~')) return false
  return rules.some(
    (rule) => rule === '*' || rule === namespace || (rule === '.' && owner === namespace),
  )
}

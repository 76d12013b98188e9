/**
 * Path parameters (`/admin;v=1/`): servlet containers cut them off before they choose a handler,
 * most others do not. Which kind stands behind a policy is unknown, so both readings are judged and
 * the one that refuses wins, as with several lines of one header (R48, R53).
 */
import type { Caller } from './caller.ts'

/** The caller as such an application reads its request; `undefined`: as everybody does. */
export function withoutParameters(caller: Caller): Caller | undefined {
  const { request } = caller
  if (request === undefined) return undefined
  const { method, scheme, authority, tokens } = request
  const path = cut(request.path)
  if (path === request.path) return undefined
  return {
    ...caller,
    request: {
      method,
      scheme,
      authority,
      path,
      header: (name) => request.header(name),
      headerValues: (name) => request.headerValues(name),
      tokens,
      metadata: (filter) => request.metadata?.(filter),
      ...(request.claimTexts === undefined
        ? {}
        : { claimTexts: (of) => request.claimTexts?.(of) ?? [] }),
    },
  }
}

function cut(path: string): string {
  const queryAt = path.search(/[?#]/)
  const end = queryAt === -1 ? path.length : queryAt
  const plain = path.slice(0, end)
  if (!plain.includes(';')) return path
  const segments: string[] = []
  // What is left of a segment may be a dot segment: `/open/..;/admin`.
  for (const segment of plain.split('/').slice(1)) {
    const [name = ''] = segment.split(';', 1)
    if (name === '..') segments.pop()
    // `/;/admin` is `//admin` to them, and that is `/admin`.
    else if (name !== '.' && (name !== '' || segment === '')) segments.push(name)
  }
  return `/${segments.join('/')}${path.slice(end)}`
}

/**
 * Imports of Node's own modules, made cheap. To import one as a module makes Node read every
 * export it has, and some of those load what nobody asked for: `node:http` has a WebSocket,
 * for which all of undici is loaded (7 MB, 40 ms), `node:crypto` has webcrypto.
 *
 *     import{request as a}from"node:http"  ->  const{request:a}=process.getBuiltinModule("node:http")
 */
import { builtinModules } from 'node:module'

const names = new Set(builtinModules.flatMap((name) => [name, `node:${name}`]))
const NAME = '[\\w$]+'
const STATEMENT = new RegExp(
  `(?<=^|[;}\\n])import\\s*(?:(${NAME})\\s*,?\\s*)?(?:\\*\\s*as\\s+(${NAME})|\\{([^}]*)\\})?\\s*(?:from\\s*)?"([^"]+)";?`,
  'g',
)

/** @param text One file of esbuild's output. */
export function cheapBuiltinImports(text) {
  const statements = []
  const rest = text.replace(STATEMENT, (whole, byDefault, namespace, named, name) => {
    if (!names.has(name)) return whole
    const get = `process.getBuiltinModule("${name}")`
    for (const local of [byDefault, namespace]) {
      if (local !== undefined) statements.push(`const ${local}=${get};`)
    }
    if (named !== undefined) statements.push(`const{${renamed(named)}}=${get};`)
    return ''
  })
  // Imports are there before the first statement runs; so must these be.
  return statements.join('') + rest
}

function renamed(list) {
  return list
    .split(',')
    .map((one) => one.trim().replace(/\s+as\s+/, ':'))
    .filter((one) => one !== '')
    .join(',')
}

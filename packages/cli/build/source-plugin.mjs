/**
 * What esbuild has to be told about our sources, three things they do that depend on where
 * the file lies, and one function that it makes faster.
 *
 *     require('x') of createRequire  ->  require('./lazy-x.js'), an entry point of the bundle
 *     new URL('x', import.meta.url)  ->  the file is copied beside the bundle
 *     require('fs') of a dependency  ->  Node's module, whatever the module system
 *     protoCamelCase                 ->  the same by a regular expression
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { basename, dirname, extname, join } from 'node:path'

const OWN_SOURCE = /\/packages\/[^/]+\/src\/.*\.ts$/
/**
 * Names every field of every message at the start, character by character: hot enough for the
 * optimising compiler to spend 15 ms of processor time and 2 MB on it.
 */
const CAMEL_CASE_FILE = /\/@bufbuild\/protobuf\/dist\/esm\/reflect\/names\.js$/
const CAMEL_CASE = /(?<=export function protoCamelCase\(snakeCase\) \{).*?(?=^\})/ms
const BUILTIN = new RegExp(`^(?:node:)?(?:${builtinModules.join('|')})$`)

/** The bundle's file of a module that is loaded by the first call that needs it. */
export function lazyName(specifier) {
  return `lazy-${basename(specifier, extname(specifier))}`
}

/**
 * @param lazy Specifiers that sources may require: anything else fails the build.
 * @param assets Gets the files that sources read: name in the bundle → content.
 */
export function sourcePlugin(lazy, assets) {
  return {
    name: 'weft-sources',
    setup(build) {
      build.onLoad({ filter: OWN_SOURCE }, ({ path }) => {
        const text = readFileSync(path, 'utf8')
        if (!text.includes('import.meta.url')) return undefined
        return { contents: withAssets(withLazy(text, path, lazy), path, assets), loader: 'ts' }
      })
      build.onLoad({ filter: CAMEL_CASE_FILE }, ({ path }) => {
        const text = readFileSync(path, 'utf8')
        if (!CAMEL_CASE.test(text)) throw new Error(`${path}: protoCamelCase is not as it was`)
        const body = 'return snakeCase.replace(/_+(.?)/g, (_, next) => next.toUpperCase())\n'
        return { contents: text.replace(CAMEL_CASE, body), loader: 'js' }
      })
      build.onResolve({ filter: BUILTIN }, ({ path, kind }) =>
        kind === 'require-call' ? { path, namespace: 'builtin' } : { path, external: true },
      )
      build.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
        contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)})`,
      }))
    },
  }
}

function withLazy(text, path, lazy) {
  if (!text.includes('require = createRequire(')) return text
  return text.replace(/\brequire\(([^)]*)\)/g, (call, argument) => {
    const specifier = /^'([^']+)'$/.exec(argument)?.[1]
    if (specifier !== undefined && lazy.has(specifier))
      return `require('./${lazyName(specifier)}.js')`
    throw new Error(`${path}: ${call} is not among the lazy modules of build/make-bundle.mjs`)
  })
}

function withAssets(text, path, assets) {
  return text.replace(/new URL\('([^']+)', import\.meta\.url\)/g, (_, relative) => {
    const file = join(dirname(path), relative)
    if (!existsSync(file)) throw new Error(`${path}: ${relative} is not there`)
    const content = readFileSync(file)
    const hash = createHash('sha256').update(content).digest('hex').slice(0, 8)
    const name = `${basename(file, extname(file))}-${hash}${extname(file)}`
    assets.set(name, content)
    return `new URL('./${name}', import.meta.url)`
  })
}

/**
 * The package as npm users get it: two files of plain JavaScript without any dependency, and types.
 *
 *     src/index.ts          -> index.js     Node 22 and later
 *     src/browser/index.ts  -> browser.js   browsers: no module of Node, `Buffer` is `bytes.mjs`
 *     tsc                   -> *.d.ts
 *
 *     node packages/rsocket/build/make-package.mjs [--out DIR]        then: npm pack DIR
 *     node packages/rsocket/build/make-package.mjs --browser FILE     that file alone
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const PACKAGE = dirname(dirname(fileURLToPath(import.meta.url)))
const ROOT = dirname(dirname(PACKAGE))

/** Of @weft/base only what is used is taken, and nothing of it needs Node's modules. */
const withoutNode = {
  name: 'without-node',
  setup(builder) {
    builder.onResolve({ filter: /^node:/ }, ({ path }) => ({
      path,
      external: true,
      sideEffects: false,
    }))
    // No file of ours does anything by being imported.
    builder.onResolve({ filter: /^(?:@weft\/|\.)/ }, async ({ path, pluginData, ...rest }) => {
      if (pluginData === 'resolved' || rest.kind === 'entry-point') return undefined
      const found = await builder.resolve(path, { ...rest, pluginData: 'resolved' })
      return { path: found.path, sideEffects: false }
    })
  },
}

const SHARED = {
  bundle: true,
  format: 'esm',
  conditions: ['source'],
  legalComments: 'none',
  absWorkingDir: ROOT,
  logLevel: 'warning',
  treeShaking: true,
  plugins: [withoutNode],
}

/** @param {string} out A folder, made anew. */
async function makePackage(out) {
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  await build({
    ...SHARED,
    entryPoints: [join(PACKAGE, 'src/index.ts')],
    outfile: join(out, 'index.js'),
    platform: 'node',
    target: 'node22',
  })
  await makeBrowserBundle(join(out, 'browser.js'))
  makeTypes(out)
  const { name, version, description, license } = JSON.parse(
    readFileSync(join(PACKAGE, 'package.json'), 'utf8'),
  )
  const manifest = {
    ...{ name, version, description, license },
    type: 'module',
    engines: { node: '>=22' },
    sideEffects: false,
    exports: {
      '.': {
        types: './types/index.d.ts',
        browser: './browser.js',
        default: './index.js',
      },
      './browser': { types: './types/browser/index.d.ts', default: './browser.js' },
    },
  }
  writeFileSync(join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  cpSync(join(PACKAGE, 'README.md'), join(out, 'README.md'))
  cpSync(join(ROOT, 'LICENSE'), join(out, 'LICENSE'))
}

/** @param {string} file Where it goes. */
async function makeBrowserBundle(file) {
  await build({
    ...SHARED,
    entryPoints: [join(PACKAGE, 'src/browser/index.ts')],
    outfile: file,
    platform: 'browser',
    target: 'es2022',
    inject: [join(PACKAGE, 'build/bytes.mjs')],
  })
  const node = /["']node:[a-z_/]+["']/.exec(readFileSync(file, 'utf8'))
  if (node !== null) throw new Error(`Cannot run in a browser: ${file} imports ${node[0]}`)
}

/** Only those that the two entries reach: the others name packages that are not there. */
function makeTypes(out) {
  const all = join(out, '.types')
  const flags = ['--declaration', '--emitDeclarationOnly', '--noEmit', 'false']
  const places = ['--rootDir', 'packages/rsocket/src', '--outDir', all]
  const made = spawnSync(
    join(ROOT, 'node_modules/.bin/tsc'),
    ['-p', 'packages/rsocket/build/tsconfig.json', ...flags, ...places],
    { cwd: ROOT, encoding: 'utf8' },
  )
  if (made.status !== 0) throw new Error(`tsc: ${made.stdout}${made.stderr}`)
  const waiting = ['index.ts', 'browser/index.ts']
  for (const source of waiting) {
    const file = source.replace(/\.ts$/, '.d.ts')
    const text = readFileSync(join(all, file), 'utf8')
    const own = text.replace(/(from '|import\(')(\.[^']+)\.ts'/g, (_whole, before, path) => {
      const found = join(dirname(source), `${path}.ts`)
      if (!waiting.includes(found)) waiting.push(found)
      return `${before}${path}.js'`
    })
    const foreign = /'@weft\/[^']+'/.exec(own)
    if (foreign !== null) throw new Error(`Cannot publish ${file}: it names ${foreign[0]}`)
    mkdirSync(dirname(join(out, 'types', file)), { recursive: true })
    // Programs that are compiled for an older library have no such name.
    const head = own.includes('AsyncDisposable')
      ? '/// <reference lib="esnext.disposable" />\n'
      : ''
    writeFileSync(join(out, 'types', file), head + own)
  }
  rmSync(all, { recursive: true })
}

const [flag, where] = process.argv.slice(2)
const out = where === undefined ? join(PACKAGE, 'dist/package') : resolve(where)
if (flag === '--browser') await makeBrowserBundle(out)
else if (flag === undefined || flag === '--out') await makePackage(out)
else throw new Error(`Cannot make the package: there is no ${flag}`)
console.log(out)

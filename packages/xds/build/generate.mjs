/**
 * Generates `src/gen` from the Envoy protos that `@grpc/grpc-js-xds` ships:
 *
 *     protos of the package -> copies with LF and a newer PGV -> buf -> descriptors
 *       -> patch table -> protoc-gen-es -> src/gen
 *
 * Runs at the end of `npm ci` (script `prepare` of the root) with whatever Node the machine has
 * (20 or newer), and from entry points that find `src/gen` missing because `--ignore-scripts`
 * was used. Does nothing when `src/gen` is up to date.
 *
 *     node packages/xds/build/generate.mjs [--force] [--if-missing] [--out DIR]
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const BUILD = dirname(fileURLToPath(import.meta.url))
const require = createRequire(import.meta.url)
const flags = process.argv.slice(2)
const out = flags.includes('--out') ? flags[flags.indexOf('--out') + 1] : join(BUILD, '../src/gen')

try {
  await generate()
} catch (error) {
  console.error(`Cannot generate the Envoy protos: ${error.message}`)
  process.exitCode = 1
}

async function generate() {
  const stampFile = join(out, 'stamp')
  if (flags.includes('--if-missing') && existsSync(stampFile)) return
  const packages = findPackages()
  const stamp = stampOf(packages)
  const current = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : ''
  if (current === stamp && !flags.includes('--force')) return

  const startedAt = performance.now()
  // Beside the target, so that the last step is a rename; with the process id, because two
  // entry points may find the folder missing at the same moment.
  const work = `${out}.${process.pid}.tmp`
  rmSync(work, { recursive: true, force: true })
  try {
    const protoDir = join(work, 'proto')
    const { ROOTS } = await import('./roots.mjs')
    copyProtos(packages, protoDir, ROOTS)
    const files = await runPlugin(packages, compile(packages, protoDir))
    const target = join(work, 'gen')
    for (const { name, content } of files) writeTo(join(target, name), content)
    writeTo(join(target, 'stamp'), stamp)
    replaceFolder(target, out, work)
    const tookMs = Math.round(performance.now() - startedAt)
    console.log(`xds: generated ${files.length} files from the Envoy protos in ${tookMs} ms`)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function findPackages() {
  try {
    return {
      protos: dirname(require.resolve('@grpc/grpc-js-xds/package.json')),
      buf: dirname(require.resolve('@bufbuild/buf/package.json')),
      plugin: dirname(require.resolve('@bufbuild/protoc-gen-es/package.json')),
    }
  } catch (error) {
    const [what] = error.message.split('\n')
    throw new Error(`${what}; run npm ci in the root of the repository`)
  }
}

/** Names everything that the output depends on, so that equal stamps mean equal output. */
function stampOf(packages) {
  const hash = createHash('sha256')
  for (const folder of Object.values(packages)) {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    hash.update(`${name}@${version}\n`)
  }
  for (const file of readdirSync(BUILD)
    .filter((name) => name.endsWith('.mjs'))
    .sort()) {
    hash.update(readFileSync(join(BUILD, file)))
  }
  return `${hash.digest('hex')}\n`
}

/** Copies the roots and what they import. */
function copyProtos(packages, target, roots) {
  const deps = join(packages.protos, 'deps')
  const folders = {
    envoy: 'envoy-api',
    xds: 'xds',
    udpa: 'xds',
    google: 'googleapis',
    validate: 'protoc-gen-validate',
  }
  const seen = new Set()
  const copy = (path) => {
    // buf brings these along itself.
    if (seen.has(path) || path.startsWith('google/protobuf/')) return
    seen.add(path)
    const source = join(deps, folders[path.split('/')[0]] ?? '', path)
    if (!existsSync(source)) throw new Error(`${path} is not in ${packages.protos}`)
    let text = readFileSync(source, 'utf8').replaceAll('\r\n', '\n')
    if (path === 'validate/validate.proto') text = addIgnoreEmpty(text)
    writeTo(join(target, path), text)
    for (const [, imported] of text.matchAll(/^import\s+(?:public\s+)?"([^"]+)"/gm)) copy(imported)
  }
  for (const root of roots) copy(root)
}

/** The packaged PGV rules are older than the protos that use them: they lack `ignore_empty`. */
function addIgnoreEmpty(text) {
  return text.replace(/^message (\w+)Rules \{$/gm, (line, kind) => {
    const number =
      { String: 26, Bytes: 14, Repeated: 6, Map: 6 }[kind] ??
      (/^(Float|Double|S?U?(Int|Fixed)(32|64)|S(Int|Fixed)(32|64))$/i.test(kind) ? 8 : 0)
    return number === 0 ? line : `${line}\n    optional bool ignore_empty = ${number};`
  })
}

function compile(packages, protoDir) {
  writeTo(join(protoDir, 'buf.yaml'), 'version: v2\n')
  const script = join(packages.buf, 'bin/buf')
  const args = [
    script,
    'build',
    '--as-file-descriptor-set',
    '--exclude-source-info',
    '-o',
    '-#format=binpb',
  ]
  return run('buf', args, {
    cwd: protoDir,
    env: { ...process.env, BUF_CACHE_DIR: join(protoDir, '.cache') },
  })
}

async function runPlugin(packages, image) {
  const { create, fromBinary, toBinary } = await import('@bufbuild/protobuf')
  const wkt = await import('@bufbuild/protobuf/wkt')
  const { KEPT_MESSAGES } = await import('./kept-messages.mjs')
  const { keepOnly, patchDescriptors } = await import('./patch-descriptors.mjs')
  const set = fromBinary(wkt.FileDescriptorSetSchema, image)
  patchDescriptors(set)
  const withRules = toBinary(wkt.FileDescriptorSetSchema, set)
  keepOnly(set, KEPT_MESSAGES)
  const wanted = set.file.filter(
    (file) =>
      file.package !== 'google.protobuf' && file.messageType.length + file.enumType.length > 0,
  )
  const request = create(wkt.CodeGeneratorRequestSchema, {
    fileToGenerate: wanted.map((file) => file.name),
    parameter: 'target=js+dts,import_extension=js',
    protoFile: set.file,
    sourceFileDescriptors: wanted,
  })
  const script = join(packages.plugin, 'bin/protoc-gen-es')
  const input = toBinary(wkt.CodeGeneratorRequestSchema, request)
  const response = fromBinary(
    wkt.CodeGeneratorResponseSchema,
    run('protoc-gen-es', [script], { input }),
  )
  if (response.error !== '') throw new Error(`protoc-gen-es: ${response.error}`)
  return [...response.file, { name: 'descriptors.binpb', content: withRules }]
}

function run(name, args, options) {
  const result = spawnSync(process.execPath, args, { ...options, maxBuffer: 256 * 1024 * 1024 })
  if (result.error !== undefined) throw new Error(`${name} did not start: ${result.error.message}`)
  if (result.status !== 0)
    throw new Error(`${name} failed: ${result.stderr.toString().trim().slice(0, 2_000)}`)
  return result.stdout
}

function writeTo(path, content) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

function replaceFolder(source, target, work) {
  try {
    if (existsSync(target)) renameSync(target, join(work, 'old'))
    renameSync(source, target)
  } catch (error) {
    // Another process finished first; its result is the same.
    if (!existsSync(join(target, 'stamp'))) throw error
  }
}

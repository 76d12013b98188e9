/**
 * Keeps the bundle that `bin/weft.js` starts in place of the sources:
 *
 *     sources -> esbuild -> dist/.PID.tmp -> dist/HASH -> dist/current.json says HASH
 *
 * Each step is a rename, so whoever starts meanwhile finds the old one or the new one, whole.
 * The folders of earlier ones stay for a while: a running proxy may still load a part of its own.
 *
 * Runs at the end of `npm ci` (script `prepare` of the root), before `npm pack` (`--release`: to
 * `dist/release`), and behind the back of a long-lived `weft` that found the bundle stale. Without esbuild (`--omit=dev`) there
 * is none, and the sources run as they are.
 *
 *     node packages/cli/build/bundle.mjs [--if-stale] [--release]
 */
import { createHash } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { constants, setPriority } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freshBundle, inputOf } from '../bin/bundle-state.mjs'

const PACKAGE = dirname(dirname(fileURLToPath(import.meta.url)))
const DIST = join(PACKAGE, 'dist')
const LOCK = join(DIST, 'building')
/** A builder that was killed leaves its lock. */
const LOCK_MS = 60_000
const KEPT = 8
const flags = process.argv.slice(2)
const isBackground = flags.includes('--if-stale')
const isRelease = flags.includes('--release')

try {
  if (!(isBackground && freshBundle(PACKAGE, true) !== undefined)) await build()
} catch (error) {
  console.error(`Cannot bundle weft: ${error.message}`)
  // A release without it would not start; a source tree does.
  if (isRelease) process.exitCode = 1
}

async function build() {
  const esbuild = await import('esbuild').catch((error) => {
    if (isRelease) throw error
    return undefined
  })
  if (esbuild === undefined) return
  if (isBackground) setPriority(constants.priority.PRIORITY_LOW)
  mkdirSync(DIST, { recursive: true })
  if (!takeLock()) return
  try {
    const startedMs = Date.now()
    const { makeBundle } = await import('./make-bundle.mjs')
    const { files, inputs } = await makeBundle(esbuild)
    const stated = inputs.map((path) => inputOf(PACKAGE, path))
    // Saved while esbuild read: nobody knows which half it saw.
    if (stated.some(([, , mtimeMs]) => mtimeMs >= startedMs)) {
      throw new Error('a source changed meanwhile')
    }
    if (isRelease) replaceFolder(writeAll(files), join(DIST, 'release'))
    else publish(files, stated)
  } finally {
    rmSync(LOCK, { force: true })
  }
}

function takeLock() {
  const age = Date.now() - (statSync(LOCK, { throwIfNoEntry: false })?.mtimeMs ?? Date.now())
  if (age > LOCK_MS) rmSync(LOCK, { force: true })
  try {
    closeSync(openSync(LOCK, 'wx'))
    return true
  } catch (error) {
    if (error.code === 'EEXIST' && !isRelease) return false
    throw error
  }
}

function publish(files, inputs) {
  const name = nameOf(files)
  const target = join(DIST, name)
  if (statSync(target, { throwIfNoEntry: false }) === undefined) renameSync(writeAll(files), target)
  const pointer = join(DIST, `.${process.pid}.json`)
  writeFileSync(pointer, JSON.stringify({ name, inputs }))
  renameSync(pointer, join(DIST, 'current.json'))
  prune(name)
}

function writeAll(files) {
  const work = join(DIST, `.${process.pid}.tmp`)
  for (const [path, content] of files) {
    mkdirSync(dirname(join(work, path)), { recursive: true })
    writeFileSync(join(work, path), content)
  }
  return work
}

function replaceFolder(from, to) {
  rmSync(to, { recursive: true, force: true })
  renameSync(from, to)
}

function nameOf(files) {
  const hash = createHash('sha256')
  for (const [path, content] of files) hash.update(`${path}\n${content.length}\n`).update(content)
  return hash.digest('hex').slice(0, 12)
}

/** Leaves the newest few. */
function prune(current) {
  const others = readdirSync(DIST)
    .filter((name) => /^[0-9a-f]{12}$/.test(name) && name !== current)
    .map((name) => ({ name, changedMs: statSync(join(DIST, name)).mtimeMs }))
    .sort((a, b) => b.changedMs - a.changedMs)
  for (const { name } of others.slice(KEPT)) {
    rmSync(join(DIST, name), { recursive: true, force: true })
  }
}

/**
 * Says whether the bundle that `build/bundle.mjs` made is what the sources say today. In a
 * source tree a file that differs in size or time makes the whole bundle stale: old code is
 * never run. An installed package has no sources: its bundle is `dist/release`, and always right.
 *
 * Plain JavaScript, on the way of every start: some 700 `stat` calls, three milliseconds.
 */

// As a module it would have its streams and promises loaded: 5 ms. Old Nodes have no other way.
const { readFileSync, statSync } =
  process.getBuiltinModule?.('node:fs') ?? (await import('node:fs'))

/** @returns The bundle's folder below `dist`, or `undefined`. */
export function freshBundle(packageDir, isSource) {
  if (!isSource) return `${packageDir}/dist/release`
  const bundle = currentBundle(packageDir)
  if (bundle === undefined) return undefined
  const dir = `${packageDir}/dist/${bundle.name}`
  if (statSync(`${dir}/index.js`, { throwIfNoEntry: false }) === undefined) return undefined
  for (const input of bundle.inputs) if (!isUnchanged(packageDir, input)) return undefined
  return dir
}

/** What was built last: its name, and of each input the path, bytes and time of change in ms. */
function currentBundle(packageDir) {
  try {
    return JSON.parse(readFileSync(`${packageDir}/dist/current.json`, 'utf8'))
  } catch {
    return undefined
  }
}

/** @param path From the package's folder. */
export function inputOf(packageDir, path) {
  const stat = statSync(`${packageDir}/${path}`, { throwIfNoEntry: false })
  return [path, stat?.size ?? -1, stat?.mtimeMs ?? -1]
}

function isUnchanged(packageDir, [path, bytes, mtimeMs]) {
  const [, nowBytes, nowMs] = inputOf(packageDir, path)
  return nowBytes === bytes && nowMs === mtimeMs
}

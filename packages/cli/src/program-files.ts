/**
 * Where the files are that the program brings along: the source tree runs as it is,
 * `build/bundle.mjs` puts all of it into a folder of `dist`.
 *
 *     packages/cli/src/program-files.ts     packages/cli/demo/bookstore/*.ts
 *     packages/cli/dist/HASH/*.js           packages/cli/dist/HASH/bookstore/*.js
 */
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const self = fileURLToPath(import.meta.url)
const isSource = extname(self) === '.ts'
const packageDir = dirname(dirname(isSource ? self : dirname(self)))

/** Where it says which version this is. */
export const MANIFEST = join(packageDir, 'package.json')

/** What starts a further process of the program. */
export const BIN = join(packageDir, 'bin', 'weft.js')

/** What the demo's watched folder begins with, and the files of the tour. */
export const EXAMPLE_DIR = join(dirname(dirname(packageDir)), 'examples', 'bookstore')

/** The file of an application of the demo, by its name without extension. */
export function bookstoreFile(name: string): string {
  return isSource
    ? join(packageDir, 'demo', 'bookstore', `${name}.ts`)
    : join(dirname(self), 'bookstore', `${name}.js`)
}

/**
 * The files that a command line names, read: files, folders (all `.yaml`, `.yml`
 * and `.json` below), globs that no shell expanded, and `-` for standard input.
 */
import { glob, readdir, readFile, stat } from 'node:fs/promises'
import { isAbsolute, join, resolve } from 'node:path'
import type { SourceText } from '@weft/config'
import { UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'

const CONFIGURATION = /\.(?:ya?ml|json)$/i
const GLOB = /[*?[{]/
/** What problems and status call standard input. */
const STDIN_NAME = '<stdin>'

/**
 * @returns Every file once, in the order named; folders in the order of names.
 * @throws {UsageError} If a path names nothing or cannot be read; the message says which.
 */
export async function readSources(
  paths: readonly string[],
  terminal: Pick<Terminal, 'cwd' | 'readStdin'>,
): Promise<readonly SourceText[]> {
  const sources = new Map<string, SourceText>()
  for (const path of paths) {
    if (path === '-') {
      sources.set('-', { file: STDIN_NAME, text: await terminal.readStdin() })
      continue
    }
    for (const file of await filesOf(path, terminal.cwd)) {
      if (sources.has(file)) continue
      const text = await readFile(resolve(terminal.cwd, file), 'utf8').catch(refuse(file))
      sources.set(file, { file, text })
    }
  }
  return [...sources.values()]
}

async function filesOf(path: string, cwd: string): Promise<readonly string[]> {
  const found = await stat(resolve(cwd, path)).catch(() => undefined)
  if (found?.isDirectory()) return filesBelow(path, cwd)
  if (found !== undefined) return [path]
  if (!GLOB.test(path)) throw unreadable(path, 'there is no such file or folder')

  const files: string[] = []
  for await (const match of glob(path, { cwd })) {
    const absolute = isAbsolute(match) ? match : resolve(cwd, match)
    if ((await stat(absolute)).isFile()) files.push(match)
  }
  if (files.length === 0) throw unreadable(path, 'the pattern matches no file')
  return files.sort()
}

async function filesBelow(folder: string, cwd: string): Promise<readonly string[]> {
  const entries = await readdir(resolve(cwd, folder), {
    recursive: true,
    withFileTypes: true,
  }).catch(refuse(folder))
  const files = entries
    .filter((entry) => entry.isFile() && CONFIGURATION.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((file) =>
      isAbsolute(folder) ? file : join(folder, file.slice(resolve(cwd, folder).length)),
    )
  if (files.length === 0) {
    throw unreadable(folder, 'it holds no .yaml, .yml or .json file')
  }
  return files.sort()
}

function refuse(path: string): (error: Error) => never {
  return (error) => {
    throw unreadable(path, error.message, error)
  }
}

function unreadable(path: string, why: string, cause?: Error): UsageError {
  return new UsageError(`Cannot read ${path}: ${why}`, 'unreadable', { cause })
}

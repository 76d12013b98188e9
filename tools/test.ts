/**
 * Runs one suite of tests with the flags they need.
 *
 *     node tools/test.ts unit|e2e|interop|chaos [FILE…]
 */
import { spawn } from 'node:child_process'
import { globSync } from 'node:fs'
import { ChaosTable } from './chaos-table.ts'

const suites: Readonly<Record<string, { readonly files: string; readonly timeoutMs: number }>> = {
  unit: { files: '{packages/*/src,tools,bench,test/http1}/**/*.test.ts', timeoutMs: 120_000 },
  e2e: { files: 'test/e2e/**/*.test.ts', timeoutMs: 300_000 },
  chaos: { files: 'test/chaos/**/*.test.ts', timeoutMs: 240_000 },
  interop: { files: 'test/interop/**/*.test.ts', timeoutMs: 300_000 },
}

const [name = '', ...only] = process.argv.slice(2)
const suite = suites[name]
if (suite === undefined) {
  console.error(`Cannot run tests: need one of ${Object.keys(suites).join(', ')}, got '${name}'`)
  process.exit(2)
}
const files =
  only.length > 0 ? only : globSync(suite.files, { exclude: ['**/node_modules/**'] }).sort()
if (files.length === 0) {
  console.error(`Cannot run ${name} tests: no file matches ${suite.files}`)
  process.exit(1)
}
const args = [
  '--conditions=source',
  '--disable-warning=DEP0111',
  '--test',
  `--test-timeout=${suite.timeoutMs}`,
]
// Unit tests mostly wait for sockets: Node's default of one file per spare core leaves two cores idle.
args.push(`--test-concurrency=${name === 'unit' ? 4 : 1}`)
const child = spawn(process.execPath, [...args, ...files], {
  stdio: ['inherit', name === 'chaos' ? 'pipe' : 'inherit', 'inherit'],
})
const table = new ChaosTable()
child.stdout?.setEncoding('utf8').on('data', (text: string) => {
  table.take(text)
  process.stdout.write(text)
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
// Not `exit`: the end of its output may come later.
child.on('close', (code) => {
  process.stdout.write(table.render())
  process.exitCode = code ?? 1
})

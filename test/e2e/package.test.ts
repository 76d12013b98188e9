/** The package as a stranger gets it: packed, installed into an empty folder, run. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { keysIn } from '../../tools/default-keys.ts'
import { temporaryFolder } from './weft.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

async function run(program: string, args: readonly string[], cwd: string): Promise<string> {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let [output, errors] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const [exitCode] = await once(child, 'close')
  assert.equal(exitCode, 0, `${program} ${args.join(' ')}:\n${output}\n${errors}`)
  return output
}

test('the package installs into an empty folder without its sources and without a key (R62), and runs there', async () => {
  await using folder = await temporaryFolder()
  await run('npm', ['pack', '--pack-destination', folder.path], ROOT)
  const [tarball = ''] = (await readdir(folder.path)).filter((name) => name.endsWith('.tgz'))
  const flags = ['--offline', '--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund']
  await run('npm', ['install', ...flags, join(folder.path, tarball)], folder.path)

  const weft = join(folder.path, 'node_modules', '.bin', 'weft')
  assert.match(await run(weft, ['--help'], folder.path), /^weft is a service mesh/)
  const shipped = join(folder.path, 'node_modules', 'weft-mesh')
  assert.deepEqual(await readdir(join(shipped, 'packages', 'cli')), ['bin', 'dist', 'package.json'])
  const own = globSync('{packages,examples,docs}/**/*.{js,mjs,json,yaml,md}', { cwd: shipped })
  assert.ok(own.length > 20)
  const keys = own.flatMap((file) => keysIn(readFileSync(join(shipped, file), 'utf8')))
  assert.deepEqual(keys, [])
  const mesh = join(shipped, 'examples', 'bookstore', 'mesh')
  assert.match(await run(weft, ['validate', mesh], folder.path), /all valid/)
  const call = ['--call', '{"host":"reviews","port":9080}', '--json']
  const told = await run(weft, ['simulate', '-f', mesh, ...call], folder.path)
  assert.equal(JSON.parse(told).listener, 'virtualOutbound')

  await using proxy = startProxy(weft, folder.path)
  assert.match(await proxy.ready, /"ready":true/)
})

function startProxy(
  weft: string,
  cwd: string,
): AsyncDisposable & { readonly ready: Promise<string> } {
  const ports = ['--outbound', '127.0.0.1:0', '--admin', '127.0.0.1:0']
  const child = spawn(weft, ['proxy', '--resources', cwd, '--name', 'a', '--json', ...ports], {
    cwd,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  const ready = new Promise<string>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('"ready":true')) resolve(output)
    })
    child.once('close', () => resolve(output))
  })
  return {
    ready,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'close')
    },
  }
}

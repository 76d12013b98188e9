/** The bundle that a start prefers to the sources, in a small tree with the real builder. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const PACKAGE = fileURLToPath(new URL('..', import.meta.url))
const MODULES = join(PACKAGE, '..', '..', 'node_modules')
const PRINTS_WHERE = 'export const main = () => console.log(import.meta.url)\n'

class Tree implements AsyncDisposable {
  readonly #root: string
  readonly package: string

  constructor(root: string) {
    this.#root = root
    this.package = join(root, 'packages', 'cli')
  }

  write(path: string, text: string): Promise<void> {
    return writeFile(join(this.#root, path), text)
  }

  bundle(...flags: readonly string[]): Promise<string> {
    return run(process.execPath, [join(this.package, 'build', 'bundle.mjs'), ...flags])
  }

  start(...args: readonly string[]): Promise<string> {
    return run(process.execPath, [join(this.package, 'bin', 'weft.js'), ...args])
  }

  dist(): Promise<string[]> {
    return readdir(join(this.package, 'dist'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#root, { recursive: true, force: true })
  }
}

async function tree(main = PRINTS_WHERE): Promise<Tree> {
  const root = await mkdtemp(join(tmpdir(), 'weft-bundle-'))
  const made = new Tree(root)
  const files = {
    'packages/cli/src/index.ts': main,
    'packages/cli/package.json': '{"type":"module"}',
    'packages/cli/demo/bookstore/static/a.css': '',
    'packages/cli/demo/bookstore/shop.ts': 'console.log(1 as number)',
    'packages/proxy/src/identity/mesh-peers.ts': 'export const isLazy: boolean = true\n',
    'packages/proxy/package.json': '{"type":"module"}',
  }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await made.write(path, text)
  }
  for (const folder of ['bin', 'build']) {
    await cp(join(PACKAGE, folder), join(made.package, folder), { recursive: true })
  }
  await symlink(MODULES, join(root, 'node_modules'))
  return made
}

async function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_V8_COVERAGE: '', WEFT_BUNDLE: '', ...env },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  await once(child, 'close')
  return output
}

test('a start takes the bundle as long as the sources are what it was made of', async () => {
  await using made = await tree()
  assert.match(await made.start(), /cli\/src\/index\.ts$/m)
  await made.bundle()
  assert.match(await made.start(), /cli\/dist\/[0-9a-f]{12}\/index\.js$/m)
  await made.write('packages/cli/src/index.ts', `${PRINTS_WHERE}// changed\n`)
  assert.match(await made.start(), /cli\/src\/index\.ts$/m)
})

test('without sources it starts the release', async () => {
  await using made = await tree()
  await made.bundle('--release')
  await rm(join(made.package, 'src'), { recursive: true })
  assert.match(await made.start(), /cli\/dist\/release\/index\.js$/m)
})

test('builders that run at the same time leave one whole bundle and nothing half-made', async () => {
  await using made = await tree()
  await Promise.all([made.bundle(), made.bundle(), made.bundle()])
  const found = (await made.dist()).filter((name) => !/^[0-9a-f]{12}$/.test(name))
  assert.deepEqual(found, ['current.json'])
  assert.match(await made.start(), /cli\/dist\/[0-9a-f]{12}\/index\.js$/m)
})

test('a bundle that was replaced stays for whoever still runs it', async () => {
  await using made = await tree()
  await made.bundle()
  const before = await made.dist()
  await made.write('packages/cli/src/index.ts', PRINTS_WHERE.replace('log(', 'log("new", '))
  await made.bundle()
  const after = await made.dist()
  assert.equal(after.length, before.length + 1)
  assert.deepEqual(
    before.filter((name) => !after.includes(name)),
    [],
  )
  assert.match(await made.start(), /^new file:.*\/dist\//)
})

test('a module of Node is there under every form of import, and brings nothing else', async () => {
  await using made = await tree(`
    import fs, { existsSync as exists } from 'node:fs'
    import * as path from 'node:path'
    import { request, type Server } from 'node:http'
    export const main = () => {
      const server: Server | undefined = undefined
      const undici = process.moduleLoadList.filter((name) => name.includes('undici/undici'))
      console.log(exists === fs.existsSync, path.basename('/a/b'), typeof request, server, undici)
    }
  `)
  await made.bundle()
  assert.equal(await made.start(), 'true b function undefined []\n')
})

test('what sources require at first need is loaded at first need', async () => {
  await using made = await tree(`
    import { createRequire } from 'node:module'
    const require = createRequire(import.meta.url)
    export const main = () => {
      const { RE2JS } = require('re2js')
      console.log(RE2JS.compile('a+').matcher('caat').find(), require.resolve !== undefined)
    }
  `)
  await made.bundle()
  assert.equal(await made.start(), 'true true\n')
})

test('the function that the bundle makes faster answers as it did', async () => {
  await using made = await tree(`
    import { protoCamelCase } from '@bufbuild/protobuf/reflect'
    const names = ['', 'a', '_', '__', 'foo_bar', 'foo__bar_', '_foo', 'foo_1bar', 'v1_2_a', 'fooBar_b', 'x_É']
    const parts = ['_', '1', 'a', 'B', '__', 'zz']
    for (const a of parts) for (const b of parts) for (const c of parts) names.push(a + b + c)
    export const main = () => console.log(names.map(protoCamelCase).join(' '))
  `)
  const before = await made.start()
  await made.bundle()
  assert.match(before, /fooBar/)
  assert.equal(await made.start(), before)
})

test('a file that sources read beside themselves is in the bundle', async () => {
  await using made = await tree(`
    import { readFileSync } from 'node:fs'
    const path = new URL('../../proxy/src/words.txt', import.meta.url)
    export const main = () => console.log(readFileSync(path, 'utf8'))
  `)
  await made.write('packages/proxy/src/words.txt', 'beside')
  await made.bundle('--release')
  await rm(join(made.package, 'src'), { recursive: true })
  await rm(join(made.package, '..', 'proxy'), { recursive: true })
  assert.equal(await made.start(), 'beside\n')
})

test('bin/weft starts one Node, with the flags that weft.js would start anew for', async () => {
  await using made = await tree('export const main = () => console.log(process.execArgv.length)\n')
  const boots = join(made.package, 'boots')
  const hook = join(made.package, 'hook.cjs')
  await writeFile(hook, `require('node:fs').appendFileSync(${JSON.stringify(boots)}, '.')`)
  for (const command of ['proxy', 'run', 'status']) {
    await writeFile(boots, '')
    await run(join(made.package, 'bin', 'weft'), [command], { NODE_OPTIONS: `--require=${hook}` })
    assert.equal(await readFile(boots, 'utf8'), '.', command)
  }
})

test('the licences of the libraries inside are in the bundle', async () => {
  await using made = await tree("export { RE2JS as main } from 're2js'\n")
  await made.bundle()
  const [name = ''] = (await made.dist()).filter((one) => /^[0-9a-f]{12}$/.test(one))
  const text = await readFile(join(made.package, 'dist', name, 'notices.txt'), 'utf8')
  assert.match(text, /^re2js \d+\.\d+\.\d+ \(MIT\)\n\n.*permission/ims)
})

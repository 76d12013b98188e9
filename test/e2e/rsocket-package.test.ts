/** `@weft/rsocket` as a stranger gets it: packed, installed into an empty folder, typed and run. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport } from '@weft/net'
import { temporaryFolder } from './weft.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

const CONSUMER = `
import { connect, RSocketError, type Methods, type RSocketClient } from '@weft/rsocket'
import { connect as connectPage } from '@weft/rsocket/browser'

const methods: Methods = {
  add: (request) => (request.json() as number[]).reduce((a, b) => a + b, 0),
  async *count(request) {
    for (let i = 0; i < Number(request.text()); i++) yield i
  },
}
const [broker = ''] = process.argv.slice(2)
const client: RSocketClient = await connect({ brokers: broker, services: { 'acme.Sum': methods } })
const sum = await client.requestResponse('acme.Sum', 'add', [1, 2, 3], { idempotent: true })
const items: string[] = []
for await (const item of client.requestStream('acme.Sum', 'count', '3')) items.push(item.text())
const error: unknown = await client.requestResponse('acme.None', 'm').catch((reason: unknown) => reason)
const isSafe: boolean = error instanceof RSocketError && error.retrySafe
console.log(JSON.stringify({ sum: sum.json(), items, isSafe, page: typeof connectPage }))
await client.close()
`

/** A page's program: no types of Node, and no library newer than 2022. */
const PAGE = `
import { connect, type RSocketClient } from '@weft/rsocket/browser'
const client: RSocketClient = await connect({ brokers: 'wss://b' })
for await (const item of client.requestStream('s', 'm')) document.title = item.text()
export {}
`

test('the SDK installs into an empty folder without a dependency, is typed, and runs', async () => {
  await using folder = await temporaryFolder()
  const [made, home] = [join(folder.path, 'package'), join(folder.path, 'home')]
  await run(process.execPath, ['packages/rsocket/build/make-package.mjs', '--out', made], {
    cwd: ROOT,
  })
  await run('npm', ['pack', '--pack-destination', folder.path], { cwd: made })
  const [tarball = ''] = (await readdir(folder.path)).filter((name) => name.endsWith('.tgz'))
  await run('mkdir', [home])
  await writeFile(join(home, 'package.json'), '{"type":"module"}')
  const flags = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund']
  await run('npm', ['install', ...flags, join(folder.path, tarball)], { cwd: home })
  assert.deepEqual(await readdir(join(home, 'node_modules/@weft')), ['rsocket'])
  const page = await readFile(join(home, 'node_modules/@weft/rsocket/browser.js'), 'utf8')
  assert.doesNotMatch(page, /["']node:|\brequire\(/)

  await writeFile(join(home, 'consumer.ts'), CONSUMER)
  const types = ['--typeRoots', join(ROOT, 'node_modules/@types'), '--types', 'node']
  const rules = ['--strict', '--exactOptionalPropertyTypes', '--noEmit', '--target', 'es2024']
  const modules = ['--module', 'nodenext', '--lib', 'es2024,esnext.disposable']
  const tsc = join(ROOT, 'node_modules/.bin/tsc')
  await run(tsc, [...rules, ...modules, ...types, 'consumer.ts'], { cwd: home }).catch((error) =>
    assert.fail(error.stdout),
  )

  await writeFile(join(home, 'page.ts'), PAGE)
  const older = ['--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2022,dom']
  const none = ['--strict', '--noEmit', '--target', 'es2022', '--types', '']
  await run(tsc, [...none, ...older, 'page.ts'], { cwd: home }).catch((error) =>
    assert.fail(error.stdout),
  )

  const broker = new Broker(
    { id: 'b' },
    {
      transport: createHandleTransport(),
      ...{ clock: realClock, log: silentLogger, random: Math.random },
    },
  )
  const { port } = await broker.listen({ kind: 'tcp', address: { host: '127.0.0.1', port: 0 } })
  try {
    const words = ['consumer.ts', `tcp://127.0.0.1:${port}`]
    const { stdout } = await run(process.execPath, words, { cwd: home })
    assert.deepEqual(JSON.parse(stdout), {
      sum: 6,
      items: ['0', '1', '2'],
      isSafe: true,
      page: 'function',
    })
  } finally {
    broker.close()
  }
})

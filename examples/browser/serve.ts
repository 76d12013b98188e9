/**
 * A page that joins the mesh: a broker, a web server that hands out the page and short-lived
 * tokens, and a service in Node that the page calls and that calls the page.
 *
 *     node --conditions=source examples/browser/serve.ts             open the address that it prints
 *     node --conditions=source examples/browser/serve.ts --check     opens it in headless Chromium
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect, type RSocketClient } from '@weft/rsocket'

const ISSUER = 'https://shop.example'
const CHROMIUMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
const CHROMIUM_FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const weft = here('../../packages/cli/bin/weft.js')
const makePackage = here('../../packages/rsocket/build/make-package.mjs')
const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'weft-browser-'))
const key = join(folder, 'tokens.key')
const children: { readonly child: ChildProcess; readonly gone: Promise<unknown> }[] = []

function start(program: string, args: readonly string[]): ChildProcess {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  children.push({ child, gone: once(child, 'close') })
  return child
}

/** A token of two minutes; the broker needs to know nothing but the public half of the key. */
async function token(serviceAccount: string): Promise<string> {
  const words = ['token', 'create', '--service-account', serviceAccount, '--ttl', '2m']
  const signed = ['--key', key, '--issuer', ISSUER]
  const { stdout } = await run(process.execPath, [weft, ...words, ...signed])
  return stdout.trim()
}

async function openBroker(): Promise<{ readonly tcp: string; readonly websocket: string }> {
  const broker = start(process.execPath, [
    ...[weft, 'broker', '--standalone', '--json', '--jwks', `${ISSUER}=${key}.jwks.json`],
    ...['--listen', '127.0.0.1:0', '--listen-ws', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
  ])
  assert.ok(broker.stdout)
  const [line] = await once(createInterface({ input: broker.stdout }), 'line')
  const { tcp, ws } = JSON.parse(line)
  return { tcp: `tcp://${tcp}`, websocket: `ws://${ws}` }
}

/** The page, the SDK for it, and a token for whoever loads it: a real site asks who that is. */
async function openSite(broker: string): Promise<string> {
  const bundle = join(folder, 'weft-rsocket.js')
  await run(process.execPath, [makePackage, '--browser', bundle])
  const files = new Map([
    ['/', ['text/html', here('index.html')]],
    ['/page.js', ['text/javascript', here('page.js')]],
    ['/weft-rsocket.js', ['text/javascript', bundle]],
  ] as const)
  const server = createServer(async (request, response) => {
    const [type, file] = files.get(request.url as '/') ?? []
    if (request.url === '/token') response.end(await token('page'))
    else if (request.url === '/settings.json') response.end(JSON.stringify({ broker }))
    else if (file === undefined || type === undefined) response.writeHead(404).end()
    else response.setHeader('content-type', type).end(await readFile(file))
  })
  server.listen(0, '127.0.0.1')
  server.unref()
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

interface Seen {
  readonly quote: string
  readonly last: string
}

async function openPrices(broker: string, onSeen: (seen: Seen) => void): Promise<RSocketClient> {
  return connect({
    brokers: broker,
    app: 'prices',
    token: () => token('prices'),
    services: {
      prices: {
        quote: () => ({ price: 42 }),
        async *watch(request) {
          const { count } = request.json() as { count: number }
          for (let i = 1; i <= count; i++) yield { price: 42 + i }
        },
        seen: (request) => onSeen(request.json() as Seen),
      },
    },
  })
}

async function showOnPage(prices: RSocketClient): Promise<unknown> {
  const answer = await prices.requestResponse('screen', 'show', 'hello from Node')
  return answer.json()
}

async function check(site: string, prices: RSocketClient, seen: Promise<Seen>): Promise<void> {
  const chromium = CHROMIUMS.find((path) => existsSync(path))
  if (chromium === undefined) throw new Error(`Cannot check: none of ${CHROMIUMS} is there`)
  const profile = `--user-data-dir=${join(folder, 'profile')}`
  start(chromium, [...CHROMIUM_FLAGS, profile, '--remote-debugging-port=0', site])
  const slow = new Promise<never>((_resolve, reject) => {
    setTimeout(
      () => reject(new Error('Cannot check: the page said nothing in 60 s')),
      60_000,
    ).unref()
  })
  assert.deepEqual(await Promise.race([seen, slow]), { quote: '42', last: '47' })
  console.log('the page called prices.quote and read prices.watch')
  assert.match(JSON.stringify(await showOnPage(prices)), /Chrom/)
  console.log('the page answered screen.show')
}

try {
  await token('page')
  const broker = await openBroker()
  const seen = Promise.withResolvers<Seen>()
  const prices = await openPrices(broker.tcp, seen.resolve)
  const site = await openSite(broker.websocket)
  if (process.argv.includes('--check')) await check(site, prices, seen.promise)
  else {
    console.log(`Open ${site}`)
    void seen.promise.then(() => showOnPage(prices)).then(console.log)
    await once(process, 'SIGINT')
  }
  await prices.close()
} finally {
  for (const { child } of children) child.kill('SIGTERM')
  await Promise.all(children.map(({ gone }) => gone))
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

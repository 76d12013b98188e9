/**
 * Every YAML block of docs/policies.md, exactly as it stands there, beside policies.yaml: starts
 * the mesh, proves limits, compression and headers with real requests, stops it; exits 0 or 1.
 *
 *     node --conditions=source examples/policies/run.ts
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingHttpHeaders, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const BIN = here('../../packages/cli/bin/weft.js')
const started: { readonly child: ChildProcess; readonly gone: Promise<unknown> }[] = []
const state = mkdtempSync(join(tmpdir(), 'weft-policies-'))
const mesh = join(state, 'mesh')

function weft(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [BIN, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, XDG_STATE_HOME: state },
  })
  // Asked for now: a child that ends by itself says so only once.
  started.push({ child, gone: once(child, 'close') })
  return child
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('Cannot read: the child has no standard output')
  const lines = createInterface({ input: child.stdout })
  const line = await Promise.race([once(lines, 'line'), once(lines, 'close')])
  if (typeof line[0] === 'string') return line[0]
  throw new Error('Cannot start: weft ended without a word')
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

function ask(gateway: URL, path: string, fields: Record<string, string> = {}): Promise<Answer> {
  const headers = { host: 'shop.example.com', ...fields }
  return new Promise((resolve) => {
    const options = { host: gateway.hostname, port: gateway.port, path, headers, agent: false }
    const sent = request(options, (response) => {
      const { statusCode: status = 0, headers } = response
      response.resume().on('end', () => resolve({ status, headers }))
    })
    sent.on('error', () => resolve({ status: 0, headers: {} }))
    sent.end()
  })
}

/** The blocks of a page, in their order. */
function yamlBlocks(page: string): string[] {
  return [...readFileSync(page, 'utf8').matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(
    ([, block = '']) => block,
  )
}

try {
  mkdirSync(mesh)
  for (const [index, block] of yamlBlocks(here('../../docs/policies.md')).entries()) {
    writeFileSync(join(mesh, `page-${index}.yaml`), block)
  }
  copyFileSync(here('policies.yaml'), join(mesh, 'policies.yaml'))
  const validated = execFileSync(process.execPath, [BIN, 'validate', mesh], { encoding: 'utf8' })
  assert.match(validated, /^\d+ objects, all valid$/m)

  const up = weft('up', mesh, '--http', '0', '--xds', '0', '--admin', '0', '--json')
  const { gateway, xds } = JSON.parse(await firstLine(up))
  const url = new URL(gateway)
  const run = weft(
    ...['run', '--control', xds, '--service', 'web', '--port', '80', '--app-port', '0'],
    ...['--', process.execPath, here('web.ts')],
  )
  run.stdout?.resume()
  const untilMs = performance.now() + 30_000
  for (let i = 0; ; i++) {
    await sleep(50)
    const { status, headers } = await ask(url, '/', { 'x-user': `first-${i}` })
    if (status === 200 && headers['x-ratelimit-limit'] !== undefined) break
    assert.ok(
      performance.now() < untilMs,
      `the shop does not answer in 30 s: ${status} ${JSON.stringify(headers)}`,
    )
  }

  // 10 at once and 5 a second for each user: 40 at once are too many for one, not for two of them.
  const rush = (user: string) =>
    Promise.all(Array.from({ length: 40 }, () => ask(url, '/checkout', { 'x-user': user })))
  const statuses = (await rush('ann')).map(({ status }) => status)
  const passed = statuses.filter((status) => status === 200).length
  console.log(`${passed} of 40 requests of one user passed the checkout`)
  assert.deepEqual([...new Set(statuses)].sort(), [200, 429])
  assert.ok(passed >= 1 && passed < 35, `${passed} passed`)
  assert.equal((await ask(url, '/checkout', { 'x-user': 'bob' })).status, 200)

  const answer = await ask(url, '/', { 'x-user': 'carl', 'accept-encoding': 'gzip' })
  assert.equal(answer.headers['content-encoding'], 'gzip')
} finally {
  for (const { child } of started) child.kill('SIGTERM')
  await Promise.all(started.map(({ gone }) => gone))
  rmSync(state, { recursive: true })
}

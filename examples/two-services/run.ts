/**
 * Two versions of a service behind a gateway, 80 to 20. Starts the mesh, proves
 * the split with real requests, stops it; exits 0 or 1.
 *
 *     node --conditions=source examples/two-services/run.ts
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const started: { readonly child: ChildProcess; readonly gone: Promise<unknown> }[] = []
const state = mkdtempSync(join(tmpdir(), 'weft-two-services-'))

function weft(...args: string[]): ChildProcess {
  const bin = here('../../packages/cli/bin/weft.js')
  const child = spawn(process.execPath, [bin, ...args], {
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
  const ended = once(lines, 'close')
  const line = await Promise.race([once(lines, 'line'), ended])
  if (typeof line[0] === 'string') return line[0]
  throw new Error('Cannot start: weft ended without a word')
}

async function ask(url: string): Promise<string> {
  const response = await fetch(url).catch(() => undefined)
  return response?.ok ? (await response.text()).trim() : `status ${response?.status ?? 0}`
}

try {
  const up = weft('up', here('mesh'), '--http', '0', '--xds', '0', '--admin', '0', '--json')
  const { gateway, xds } = JSON.parse(await firstLine(up))
  for (const version of ['v1', 'v2']) {
    const run = weft(
      ...['run', '--control', xds, '--service', 'hello', '--version', version],
      ...['--port', '8000', '--app-port', '0', '--', process.execPath, here('hello.ts')],
    )
    run.stdout?.resume()
  }

  const seen = new Set<string>()
  const untilMs = performance.now() + 20_000
  while (seen.size < 2) {
    const answer = await ask(gateway)
    if (answer.startsWith('hello')) seen.add(answer)
    assert.ok(performance.now() < untilMs, `not both versions in 20 s: ${[...seen]} ${answer}`)
  }

  const answers: string[] = []
  for (let i = 0; i < 400; i++) answers.push(await ask(gateway))
  const share = answers.filter((answer) => answer === 'hello from v2').length / answers.length
  console.log(`${(share * 100).toFixed(1)} % of 400 requests went to v2`)
  assert.deepEqual([...new Set(answers)].sort(), ['hello from v1', 'hello from v2'])
  // 400 requests at 20 %: a deviation of 8 points happens once in 10 000 runs.
  assert.ok(share > 0.12 && share < 0.28, `v2 got ${share * 100} %, expected 20 %`)
} finally {
  for (const { child } of started) child.kill('SIGTERM')
  await Promise.all(started.map(({ gone }) => gone))
  rmSync(state, { recursive: true })
}

/** The demo without sidecars: the same tour, and no application has a port. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { listeningSockets } from './listening-sockets.ts'
import { eventually, runWeft, startWeft } from './weft.ts'

interface Check {
  readonly step: string
  readonly checked: string
  readonly seen: string
  readonly ok: boolean
}

describe('weft demo --broker', () => {
  test('--check takes the same tour and finds every step to work', async () => {
    const { exitCode, output, errors } = await runWeft(['demo', '--broker', '--check', '--json'])
    assert.notEqual(output, '', errors)
    const { checks } = JSON.parse(output) as { checks: readonly Check[] }
    assert.deepEqual(
      checks.filter(({ ok }) => !ok),
      [],
    )
    assert.ok(checks.length >= 19)
    assert.equal(exitCode, 0)
  })

  test('no application listens on a port: what listens is the broker, the gateway, the control plane', async () => {
    const mark = `weft-e2e-broker-${process.pid}`
    await using demo = startWeft(['demo', '--broker'], { env: { DEMO_MARK: mark } })
    await demo.saw('Take the tour')
    const processes = processesMarked(mark)
    const applications = processes.filter(({ words }) => words.some(isBookstore))
    const programs = applications.filter(({ words }) => !words.includes('agent'))
    const agents = applications.filter(({ words }) => words.includes('agent'))
    assert.equal(programs.length, 6)
    assert.equal(agents.length, 6)
    for (const { pid, words } of programs) {
      const { tcp, unix } = listeningSockets(pid)
      assert.deepEqual(tcp, [], words.join(' '))
      assert.equal(unix.length, 1, 'it listens on a socket file')
    }
    for (const { pid } of agents) {
      const { tcp } = listeningSockets(pid)
      assert.equal(tcp.length, 1, 'the HTTP proxy for its application')
      assert.match(tcp[0] ?? '', /^127\.0\.0\.1:/)
    }
    const others = processes.filter(({ pid }) => applications.every((each) => each.pid !== pid))
    const listening = others.filter(({ pid }) => listeningSockets(pid).tcp.length > 0)
    const names = listening.map(({ words }) => words[words.findIndex(isWeft) + 1])
    // The gateway has a process for each core.
    assert.deepEqual([...new Set(names)].sort(), ['broker', 'control', 'proxy'])
    demo.process.kill('SIGTERM')
    await demo.finished
    await eventually(
      () => processesMarked(mark),
      (left) => left.length === 0,
    )
  })
})

function isBookstore(word: string): boolean {
  return /[/\\]bookstore[/\\]\w+\.[jt]s$/.test(word)
}

function isWeft(word: string): boolean {
  return word.endsWith('weft.js')
}

/** Processes whose environment has the mark: the demo and everything it started. */
function processesMarked(mark: string) {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        const environment = readFileSync(`/proc/${entry}/environ`, 'utf8')
        if (!environment.includes(`DEMO_MARK=${mark}`)) return []
        const words = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0').filter(Boolean)
        return [{ pid: Number(entry), words }]
      } catch {
        return []
      }
    })
}

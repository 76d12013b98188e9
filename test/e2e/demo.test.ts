/** The demo: the tour checks itself, and nothing is left when it ends. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { eventually, runWeft, startWeft } from './weft.ts'

interface Check {
  readonly step: string
  readonly checked: string
  readonly seen: string
  readonly ok: boolean
}

describe('weft demo', () => {
  test('--check takes the tour and finds every step to work', async () => {
    const { exitCode, output, errors } = await runWeft(['demo', '--check', '--json'])
    assert.notEqual(output, '', errors)
    const { checks } = JSON.parse(output) as { checks: readonly Check[] }
    assert.deepEqual(
      checks.filter(({ ok }) => !ok),
      [],
    )
    assert.ok(checks.length >= 14)
    assert.equal(exitCode, 0)
  })

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    test(`leaves no process behind after ${signal}`, async () => {
      const mark = `weft-e2e-${signal}-${process.pid}`
      await using demo = startWeft(['demo'], { env: { DEMO_MARK: mark } })
      await demo.saw('Take the tour')
      assert.ok(processesMarked(mark).length > 10)
      demo.process.kill(signal)
      await demo.finished
      await eventually(
        () => processesMarked(mark),
        (left) => left.length === 0,
      )
    })
  }
})

/** Processes whose environment has the mark: the demo and everything it started. */
function processesMarked(mark: string): readonly string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`DEMO_MARK=${mark}`)
      } catch {
        return false
      }
    })
}

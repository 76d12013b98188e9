import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HealthReport } from './health-report.ts'

test('healthy is told only when everything holds, and every change once', () => {
  const told: string[] = []
  const report = new HealthReport({
    configured: false,
    listenerProblem: undefined,
    appProblem: 'was not asked',
    draining: false,
  })
  report.update({ appProblem: 'refuses connections' })
  report.connect((healthy, message) => told.push(`${healthy} ${message}`))
  report.update({ configured: true })
  report.update({ configured: true })
  report.update({ appProblem: undefined })
  report.update({ listenerProblem: 'port taken' })
  report.update({ listenerProblem: undefined })
  report.update({ draining: true })
  report.update({ appProblem: 'gone' })
  assert.deepEqual(told, [
    'false waiting for the first configuration',
    'false refuses connections',
    'true ',
    'false port taken',
    'true ',
    'false draining',
  ])
})

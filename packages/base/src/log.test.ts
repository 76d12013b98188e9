import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogScopes } from './log.ts'

function capture() {
  const lines: string[] = []
  const logs = new LogScopes(
    (line) => lines.push(line),
    () => Date.UTC(2026, 0, 2),
  )
  return { logs, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> }
}

test('a line is JSON with time, level, component, message and the fields', () => {
  const { logs, last } = capture()
  logs.logger('xds').warn('resource refused', { name: 'reviews', attempts: 2 })
  assert.deepEqual(last(), {
    time: '2026-01-02T00:00:00.000Z',
    level: 'warn',
    component: 'xds',
    message: 'resource refused',
    name: 'reviews',
    attempts: 2,
  })
})

test('levels are set per component and for all, also for loggers handed out before', () => {
  const { logs, lines } = capture()
  const xds = logs.logger('xds')
  const proxy = logs.logger('proxy')
  logs.setLevel('debug', 'xds')
  xds.debug('1')
  proxy.debug('2')
  logs.setLevel('error')
  xds.warn('3')
  proxy.error('4')
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).message),
    ['1', '4'],
  )
  assert.deepEqual(
    [...logs.levels()],
    [
      ['xds', 'error'],
      ['proxy', 'error'],
    ],
  )
})

test('`off` silences errors, too', () => {
  const { logs, lines } = capture()
  logs.setLevel('off')
  const logger = logs.logger('xds')
  logger.error('nobody hears it')
  assert.equal(logger.enabled('error'), false)
  assert.deepEqual(lines, [])
})

test('an error is its message and those of its causes', () => {
  const { logs, last } = capture()
  const cause = new Error('ECONNREFUSED')
  logs.logger('xds').error('no connection', { error: new Error('Cannot connect', { cause }) })
  assert.equal(last().error, 'Cannot connect: ECONNREFUSED')
})

test('an error that is its own cause ends', () => {
  const { logs, last } = capture()
  const error = new Error('loop')
  error.cause = error
  logs.logger('xds').error('x', { error })
  assert.equal(last().error, 'loop: loop: loop: loop: loop')
})

test('fields that JSON cannot hold do not lose the line', () => {
  const { logs, last } = capture()
  const cycle: Record<string, unknown> = {}
  cycle.self = cycle
  logs.logger('xds').info('counted', { bytes: 12n })
  assert.equal(last().bytes, '12')
  logs.logger('xds').info('turned', { cycle })
  assert.equal(last().message, 'turned')
  assert.match(String(last().fields), /^cannot be written: /)
})

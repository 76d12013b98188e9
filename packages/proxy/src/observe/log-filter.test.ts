import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AccessLogFilter } from '@weft/model'
import { compileLogFilter, type LogFacts } from '@weft/telemetry'
import { matchText } from '@weft/traffic'

const facts = {
  kind: 'HTTP',
  responseCode: 503,
  durationMs: 250,
  responseFlags: 'UF,URX',
  grpcStatus: 14,
  method: 'GET',
  path: '/healthz',
  requestHeader: (name: string) => (name === 'x-debug' ? 'yes' : undefined),
} as LogFacts

const status = (op: 'atLeast' | 'equal' | 'atMost', value: number): AccessLogFilter => ({
  kind: 'status',
  op,
  value,
})
const header = (name: string, value: string, invert = false): AccessLogFilter => ({
  kind: 'header',
  match: { name, value: { kind: 'exact', value, ignoreCase: false }, invert },
})

const cases: readonly (readonly [string, AccessLogFilter, boolean])[] = [
  ['a status at the limit', status('atLeast', 503), true],
  ['a status below it', status('atLeast', 504), false],
  ['an equal status', status('equal', 503), true],
  ['a status above the most', status('atMost', 502), false],
  ['slow requests', { kind: 'duration', op: 'atLeast', value: 200 }, true],
  ['one of some flags', { kind: 'responseFlag', flags: ['UH', 'URX'] }, true],
  ['none of some flags', { kind: 'responseFlag', flags: ['UH', 'U'] }, false],
  ['any flag', { kind: 'responseFlag', flags: [] }, true],
  ['a header', header('x-debug', 'yes'), true],
  ['another value', header('x-debug', 'no'), false],
  ['a header that is not there', header('x-none', 'yes'), false],
  ['no such header', header('x-none', 'yes', true), true],
  ['a part of the request line', header(':path', '/healthz'), true],
  ['a gRPC status', { kind: 'grpcStatus', statuses: [14], exclude: false }, true],
  ['another gRPC status', { kind: 'grpcStatus', statuses: [14], exclude: true }, false],
  ['its type', { kind: 'logType', types: ['DownstreamEnd'], exclude: false }, true],
  ['another type', { kind: 'logType', types: ['TcpPeriodic'], exclude: false }, false],
  ['not a type', { kind: 'logType', types: ['TcpPeriodic'], exclude: true }, true],
  ['all of two', { kind: 'and', filters: [status('equal', 503), status('equal', 500)] }, false],
  ['one of two', { kind: 'or', filters: [status('equal', 503), status('equal', 500)] }, true],
]
for (const [what, filter, logged] of cases) {
  test(`${what}: ${logged ? 'logged' : 'left out'}`, () => {
    assert.equal(compileLogFilter(filter, matchText)(facts), logged)
  })
}

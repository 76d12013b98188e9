/** Random access logs and what they are about, for property tests. */
import type { AccessLogFilter, AccessLogTarget } from '@weft/model'
import fc from 'fast-check'
import { headerMatch, record, word } from './arbitrary-values.ts'

const logValue = fc.constantFrom('%RESPONSE_CODE%', '%REQ(X-A?:PATH):10%', 'plain 100%%')
const logFilter = fc.letrec<{ readonly filter: AccessLogFilter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2 },
    fc.record({
      kind: fc.constantFrom('status' as const, 'duration' as const),
      op: fc.constantFrom('atLeast' as const, 'equal' as const, 'atMost' as const),
      value: fc.integer({ min: 0, max: 10_000 }),
    }),
    fc.record({
      kind: fc.constant('responseFlag' as const),
      flags: fc.subarray(['UH', 'URX', 'NR']),
    }),
    fc.record({ kind: fc.constant('header' as const), match: headerMatch }),
    fc.record({
      kind: fc.constant('grpcStatus' as const),
      statuses: fc.subarray([0, 2, 14]),
      exclude: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('logType' as const),
      types: fc.subarray(['TcpPeriodic', 'TcpConnectionEnd', 'DownstreamEnd'], { minLength: 1 }),
      exclude: fc.boolean(),
    }),
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      filters: fc.array(tie('filter'), { minLength: 2, maxLength: 3 }),
    }),
  ),
})).filter
export const accessLogs = fc.array(
  record<AccessLogTarget>(
    {
      path: fc.constantFrom('/dev/stdout', '/dev/stderr', '/dev/null'),
      format: fc.oneof(
        fc.record({ kind: fc.constant('text' as const), template: logValue }),
        fc.record({
          kind: fc.constant('json' as const),
          fields: fc.dictionary(
            word,
            fc.oneof(logValue, fc.boolean(), fc.dictionary(word, logValue, { maxKeys: 2 })),
            { minKeys: 1, maxKeys: 3 },
          ),
        }),
      ),
      omitEmpty: fc.constant(true),
      filter: logFilter,
    },
    ['format', 'omitEmpty', 'filter'],
  ),
  { maxLength: 2 },
)

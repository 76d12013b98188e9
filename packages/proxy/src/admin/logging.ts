/** Shows and changes log levels at run time. */
import { LOG_LEVELS, type LogLevel } from '@weft/base'
import { type AdminEndpoint, type ProxyView, textAnswer } from './endpoint.ts'

/** Envoy's names for levels that we have under another. */
const ALIASES: Readonly<Record<string, LogLevel>> = { warning: 'warn', critical: 'error' }

export const logging: AdminEndpoint = {
  path: '/logging',
  method: 'POST',
  summary: 'query/change logging levels',
  parameters: {
    level: 'for every component: trace, debug, info, warn, error or off',
    paths: 'several at once, e.g. build:debug,admin:warn',
    '<component>': 'for one component',
  },
  answer(request, proxy) {
    const known = proxy.logs.levels()
    const changes: [component: string | undefined, level: LogLevel][] = []
    for (const [name, value] of request.query) {
      const pairs =
        name === 'paths'
          ? value.split(',').map((pair): [string, string] => {
              const colon = pair.lastIndexOf(':')
              return [pair.slice(0, Math.max(colon, 0)), pair.slice(colon + 1)]
            })
          : [[name, value] as const]
      for (const [component, text] of pairs) {
        const level = parseLevel(text)
        if (level === undefined) {
          return textAnswer(`unknown level ${text}; there are: ${LOG_LEVELS.join(', ')}\n`, 400)
        }
        if (component !== 'level' && !known.has(component)) {
          return textAnswer(`unknown logger ${component}\n${renderLevels(proxy)}`, 400)
        }
        changes.push([component === 'level' ? undefined : component, level])
      }
    }
    // All or nothing: a typo in the second change must not leave the first one made.
    for (const [component, level] of changes) {
      proxy.logs.setLevel(level, component)
      proxy.workers?.setLogLevel(level, component)
    }
    return textAnswer(renderLevels(proxy))
  },
}

function parseLevel(text: string): LogLevel | undefined {
  return ALIASES[text] ?? LOG_LEVELS.find((level) => level === text)
}

function renderLevels(proxy: ProxyView): string {
  const lines = [...proxy.logs.levels()].sort().map(([name, level]) => `  ${name}: ${level}\n`)
  return `active loggers:\n${lines.join('')}\n`
}

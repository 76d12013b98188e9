/** Tells how streams ended, and counts them over all loads of this file. */
import type { BrokerFilter, FilterHost } from '@weft/broker'

let host: FilterHost | undefined

export const filter = {
  phase: 'observe',

  open(_config, given) {
    host = given
  },

  create: (_config, { route, connection }) => ({
    onEnd({ code, durationMs, responseItems }) {
      const count = Number(host?.kept.get('count') ?? 0) + 1
      host?.kept.set('count', count)
      const from = connection.principal ?? connection.app
      host?.log('a stream ended', { from, route, code, durationMs, responseItems, count })
    },
  }),
} satisfies BrokerFilter

/** Refuses requests that do not say for which tenant they are. */
import type { BrokerFilter } from '@weft/broker'

export const filter = {
  phase: 'authz',
  create: (_config, stream) => ({
    onRequest() {
      if (stream.tags.has('tenant')) return undefined
      return { refuse: 'the tag tenant=… is missing', code: 0x403 }
    },
  }),
} satisfies BrokerFilter

/** Masks what looks like the number of a card, in requests and in answers. */
import type { BrokerFilter } from '@weft/broker'

const CARD = /\b\d{12}(\d{4})\b/g

interface Config {
  readonly mask: string
}

export const filter = {
  needs: ['request-items', 'response-items'],

  parse(raw) {
    const { mask = '************' } = (raw ?? {}) as Partial<Config>
    if (typeof mask !== 'string') throw new Error(`config.mask must be a text, got ${typeof mask}`)
    return { mask }
  },

  create: ({ mask }) => ({
    onItem({ data }) {
      const text = Buffer.from(data).toString('utf8')
      const masked = text.replace(CARD, (_, last) => `${mask}${last}`)
      return masked === text ? undefined : { replace: { data: Buffer.from(masked) } }
    },
  }),
} satisfies BrokerFilter<Config>

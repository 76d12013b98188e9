/**
 * What the two ends of a connection tell each other beside requests: what a peer says of itself
 * in SETUP, and events in METADATA_PUSH. JSON in one composite entry each.
 */
import { parseStrictJson } from '@weft/base'
import { readComposite } from './composite-metadata.ts'

export const HELLO_MIME = 'message/x.weft.hello.v0+json'
export const EVENT_MIME = 'message/x.weft.event.v0+json'

const LIMITS = { maxDepth: 8 }
const MAX_BYTES = 65_536

/** The event in this metadata; undefined: there is none that can be read. */
export function readConnectionEvent(
  metadata: Uint8Array,
): Readonly<Record<string, unknown>> | undefined {
  const content = readComposite(metadata)?.find(({ mime }) => mime === EVENT_MIME)?.content
  if (content === undefined || content.length > MAX_BYTES) return undefined
  try {
    const event = parseStrictJson(Buffer.from(content).toString('utf8'), LIMITS)
    if (typeof event !== 'object' || event === null || Array.isArray(event)) return undefined
    return event as Readonly<Record<string, unknown>>
  } catch {
    return undefined
  }
}

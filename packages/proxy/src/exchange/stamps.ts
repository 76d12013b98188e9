/** Lines that a listener writes into every message, encoded once per configuration. */
import type { HttpRuntime } from './contract.ts'
import { type EncodedHeaders, encodeStamps, joinEncoded } from './encoded-headers.ts'

interface Stamps {
  readonly request: EncodedHeaders | undefined
  readonly response: EncodedHeaders | undefined
}

const stamps = new WeakMap<HttpRuntime, Stamps>()
/** Nearly every message is of the same configuration as the last one. */
let lastRuntime: HttpRuntime | undefined
let lastStamps: Stamps = { request: undefined, response: undefined }

export function stampsOf(runtime: HttpRuntime): Stamps {
  if (runtime !== lastRuntime) {
    lastStamps = lookUp(runtime)
    lastRuntime = runtime
  }
  return lastStamps
}

function lookUp(runtime: HttpRuntime): Stamps {
  const known = stamps.get(runtime)
  if (known !== undefined) return known
  const { requestStamps, requestStrips, responseStamps = [], responseStrips = [] } = runtime
  const { serverHeader, via } = runtime.manager
  const server =
    serverHeader?.kind === 'overwrite' ? [{ name: 'server', value: serverHeader.value }] : []
  const noServer = serverHeader?.kind === 'remove' ? ['server'] : []
  const viaLine = via === undefined ? undefined : added('via', via)
  const made = {
    request: joinEncoded(encoded(requestStamps, requestStrips), viaLine),
    response: joinEncoded(
      encoded([...responseStamps, ...server], [...responseStrips, ...noServer]),
      viaLine,
    ),
  }
  stamps.set(runtime, made)
  return made
}

function encoded(
  ...[lines = [], strips = []]: Parameters<typeof encodeStamps>
): EncodedHeaders | undefined {
  return lines.length + strips.length === 0 ? undefined : encodeStamps(lines, strips)
}

/** One more line of a field: what is there already stays. */
export function added(name: string, value: string): EncodedHeaders {
  return { cuts: [], lines: encodeStamps([{ name, value }]).lines }
}

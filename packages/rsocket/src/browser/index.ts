/** Calls and offers services through Weft's RSocket brokers, from a page: over WebSocket. */
import { browserPlatform } from '../browser-platform.ts'
import { Client } from '../client.ts'
import { readOptions } from '../options.ts'
import type { ConnectOptions, RSocketClient } from '../types.ts'

export { ERROR_CODE, type ErrorName, RSocketError, type RSocketErrorDetails } from '../errors.ts'
export { Message, type Outgoing } from '../message.ts'
export type * from '../types.ts'

/**
 * Dials brokers (`ws://`, `wss://`) and resolves when one of them has let this page in; the others
 * follow. Links come back by themselves for ever.
 *
 * @throws {TypeError | RangeError} If the options are wrong.
 * @throws {RSocketError} DENIED if brokers refuse the connection, REJECTED if none is reached in time.
 */
export async function connect(options: ConnectOptions): Promise<RSocketClient> {
  const platform = browserPlatform(Math.random)
  const client = new Client(readOptions(options, platform.schemes, newInstance), options, platform)
  await client.open()
  return client
}

/** `crypto.randomUUID` is not there on pages that came over plain HTTP. */
function newInstance(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

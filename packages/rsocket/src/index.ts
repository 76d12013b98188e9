/** Calls and offers services through Weft's RSocket brokers, from Node. */
import { randomUUID } from 'node:crypto'
import { Client } from './client.ts'
import { nodePlatform } from './node-platform.ts'
import { readOptions } from './options.ts'
import type { ConnectOptions, RSocketClient } from './types.ts'

export { ERROR_CODE, type ErrorName, RSocketError, type RSocketErrorDetails } from './errors.ts'
export { Message, type Outgoing } from './message.ts'
export type * from './types.ts'

/**
 * Dials brokers and resolves when one of them has let this program in; the others follow. Links
 * come back by themselves for ever.
 *
 * @throws {TypeError | RangeError} If the options are wrong.
 * @throws {RSocketError} DENIED if brokers refuse the connection, REJECTED if none is reached in time.
 */
export async function connect(options: ConnectOptions): Promise<RSocketClient> {
  const platform = nodePlatform(Math.random)
  const client = new Client(readOptions(options, platform.schemes, randomUUID), options, platform)
  await client.open()
  return client
}

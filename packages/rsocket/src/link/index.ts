/** One connection to a broker that stays, for whoever speaks frames: the SDK, `weft agent`. */
export { Tokens } from '../token.ts'
export type { TokenSource } from '../types.ts'
export { type BrokerTarget, openCarrier, renderTarget } from './broker-target.ts'
export { Link } from './link.ts'
export { RetryTokens } from './retry-tokens.ts'
export type { LinkTls } from './stream-carrier.ts'

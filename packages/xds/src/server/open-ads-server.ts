import type { AdsServer, AdsServerDeps, AdsServerOptions } from './ads-server.ts'

export function openAdsServer(_options: AdsServerOptions, _deps: AdsServerDeps): AdsServer {
  throw new Error('Cannot open the ADS server: not implemented')
}

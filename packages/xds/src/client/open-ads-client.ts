import type { AdsClient, AdsClientDeps, AdsClientOptions } from './ads-client.ts'

export function openAdsClient(_options: AdsClientOptions, _deps: AdsClientDeps): AdsClient {
  throw new Error('Cannot open the ADS client: not implemented')
}

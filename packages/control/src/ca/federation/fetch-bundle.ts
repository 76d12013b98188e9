/** GET of a bundle from another trust domain's bundle endpoint, by either of SPIFFE's two profiles. */
import type { PeerCertificate } from 'node:tls'
import type { Clock } from '@weft/base'
import { readCertificate, type SpiffeBundle, writePem } from '@weft/identity'
import { guardedFetch } from '@weft/net'
import type { FederatedDomain } from './federation-options.ts'

export type FetchedBundle =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problem: string }

const TIMEOUT_MS = 10_000
const MAX_BYTES = 1_048_576

/**
 * Never throws, and follows no redirect.
 *
 * @param known By which a server of the profile `https_spiffe` is judged.
 */
export function fetchBundle(
  url: string,
  profile: FederatedDomain['profile'],
  known: SpiffeBundle | undefined,
  clock: Clock,
): Promise<FetchedBundle> {
  if (profile.kind === 'https_spiffe' && known === undefined) {
    return Promise.resolve({ ok: false, problem: 'there is no bundle to know the server by' })
  }
  return fetchGuarded(url, profile, known, clock)
}

/** R76: a loopback is asked only where the operator wrote one. */
async function fetchGuarded(
  url: string,
  profile: FederatedDomain['profile'],
  known: SpiffeBundle | undefined,
  clock: Clock,
): Promise<FetchedBundle> {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const isHere = host === 'localhost' || host === '127.0.0.1' || host === '::1'
  const fetched = await guardedFetch(url, {
    clock,
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
    allowedHosts: isHere ? [host] : [],
    ...trustOf(profile, known),
  })
  return fetched.ok ? { ok: true, text: fetched.body } : fetched
}

function trustOf(profile: FederatedDomain['profile'], known: SpiffeBundle | undefined) {
  if (profile.kind === 'https_web') {
    return profile.caPem === undefined ? {} : { ca: profile.caPem }
  }
  const { endpointId } = profile
  return {
    ca: known?.roots.map((der) => writePem('CERTIFICATE', der)) ?? [],
    // Its name is the SPIFFE ID; what host it runs on does not matter.
    checkServerIdentity: (_host: string, { raw }: PeerCertificate) => {
      const { uriNames } = readCertificate(raw)
      const isIt = uriNames.length === 1 && uriNames[0] === endpointId
      return isIt ? undefined : new Error(`the server is ${uriNames.join()}, not ${endpointId}`)
    },
  }
}

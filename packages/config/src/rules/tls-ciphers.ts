/** Names of TLS cipher suites as Envoy's BoringSSL knows them. */

import { itemPath } from '../text/places.ts'
import type { Findings } from './rules.ts'

const KNOWN = new Set([
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
  'ECDHE-ECDSA-AES128-SHA',
  'ECDHE-RSA-AES128-SHA',
  'ECDHE-ECDSA-AES256-SHA',
  'ECDHE-RSA-AES256-SHA',
  'AES128-GCM-SHA256',
  'AES256-GCM-SHA384',
  'AES128-SHA',
  'AES256-SHA',
  'DES-CBC3-SHA',
])

/** Unknown and repeated suites are ignored by proxies, so they are warnings. */
export function checkCipherSuites(
  suites: readonly string[],
  path: string,
  findings: Findings,
): void {
  const seen = new Set<string>()
  for (const [index, suite] of suites.entries()) {
    const at = itemPath(path, index)
    if (!isKnown(suite))
      findings.warning(at, 'no-effect', `unknown cipher suite "${suite}" is ignored`)
    else if (seen.has(suite)) findings.warning(at, 'no-effect', `"${suite}" appears twice`)
    seen.add(suite)
  }
}

/** `ALL`, and expressions such as `-SHA` or `[A|B]`, are OpenSSL's language and not looked into. */
function isKnown(suite: string): boolean {
  return suite === '' || suite === 'ALL' || !/^[\p{L}\p{N}]/u.test(suite) || KNOWN.has(suite)
}

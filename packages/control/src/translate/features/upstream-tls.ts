/**
 * `tls` of DestinationRules: how the proxy itself talks TLS to a cluster.
 * ISTIO_MUTUAL needs certificates of the mesh, which there are none of yet: such
 * clusters stay plain, and config reports the field.
 */
import type { ClientTlsSettings } from '@weft/config'
import type { UpstreamTls } from '@weft/model'
import { secretName } from '../../snapshot/secrets.ts'

/** @param namespace Of the rule; its `credentialName` is a Secret there. */
export function upstreamTls(
  settings: ClientTlsSettings | undefined,
  host: string,
  namespace: string,
): UpstreamTls | undefined {
  const mode = settings?.mode
  if (settings === undefined || (mode !== 'SIMPLE' && mode !== 'MUTUAL')) return undefined
  const { credentialName, subjectAltNames = [] } = settings
  const name = credentialName === undefined ? undefined : secretName(namespace, credentialName)
  return {
    sni: settings.sni === undefined || settings.sni === '' ? host : settings.sni,
    subjectAltNames,
    alpn: [],
    ...(mode === 'MUTUAL' && name !== undefined ? { certificate: name } : {}),
    ...(name !== undefined && settings.insecureSkipVerify !== true
      ? { validation: `${name}-cacert` }
      : {}),
  }
}

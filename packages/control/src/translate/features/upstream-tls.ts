/**
 * `tls` of DestinationRules: how the proxy itself talks TLS to a cluster.
 * ISTIO_MUTUAL is the mesh's own TLS: `mutual-tls.ts`.
 */
import type { ClientTlsSettings } from '@weft/config'
import type { TlsParameters, UpstreamHttp, UpstreamTls } from '@weft/model'
import { fileCertificate, fileRoot, SYSTEM_ROOTS, secretName } from '../../snapshot/secrets.ts'

export interface TlsTarget {
  readonly host: string
  /** What a ServiceEntry says its endpoints are called. */
  readonly subjectAltNames: readonly string[]
  readonly protocol: UpstreamHttp['protocol']
}

/**
 * Without a name to ask for, the host that was called is asked for and must be
 * in the certificate; a name that somebody wrote is only asked for, as in Istio.
 *
 * @param namespace Of the rule; its `credentialName` is a Secret there.
 * @param defaults Of the mesh.
 */
export function upstreamTls(
  settings: ClientTlsSettings | undefined,
  target: TlsTarget,
  namespace: string,
  defaults: TlsParameters = {},
): UpstreamTls | undefined {
  const mode = settings?.mode
  if (settings === undefined || (mode !== 'SIMPLE' && mode !== 'MUTUAL')) return undefined
  const { certificate, validation } = secretsOf(settings, namespace)
  const sni = sniOf(settings, target.host)
  const checksNames = validation !== undefined
  return {
    ...defaults,
    ...sni,
    subjectAltNames: checksNames ? expectedNames(settings, target) : [],
    alpn: target.protocol === 'http2' ? ['h2'] : target.protocol === 'alpn' ? BOTH : [],
    ...(certificate === undefined ? {} : { certificate }),
    ...(validation === undefined ? {} : { validation }),
  }
}

const BOTH = ['h2', 'http/1.1']

/** SDS names. Files and Secrets exclude each other; config refuses both together. */
function secretsOf(
  settings: ClientTlsSettings,
  namespace: string,
): Pick<UpstreamTls, 'certificate' | 'validation'> {
  const isMutual = settings.mode === 'MUTUAL'
  const checks = settings.insecureSkipVerify !== true
  const credential = written(settings.credentialName)
  if (credential !== undefined) {
    const name = secretName(namespace, credential)
    return {
      ...(isMutual ? { certificate: name } : {}),
      ...(checks ? { validation: name.endsWith('-cacert') ? name : `${name}-cacert` } : {}),
    }
  }
  const chain = written(settings.clientCertificate)
  const ca = written(settings.caCertificates)
  return {
    ...(isMutual && chain !== undefined
      ? { certificate: fileCertificate(chain, settings.privateKey ?? '') }
      : {}),
    ...(checks ? { validation: ca === undefined ? SYSTEM_ROOTS : fileRoot(ca) } : {}),
  }
}

function sniOf(settings: ClientTlsSettings, host: string): Pick<UpstreamTls, 'autoSni' | 'sni'> {
  const sni = written(settings.sni)
  if (sni !== undefined) return { sni }
  return host.startsWith('*') ? { autoSni: true } : { sni: host }
}

function expectedNames(
  settings: ClientTlsSettings,
  { host, subjectAltNames }: TlsTarget,
): readonly string[] {
  const names = settings.subjectAltNames ?? []
  if (names.length > 0) return names
  if (subjectAltNames.length > 0) return subjectAltNames
  return written(settings.sni) === undefined && !host.startsWith('*') ? [host] : []
}

/** Empty text means absent. */
function written(text: string | undefined): string | undefined {
  return text === '' ? undefined : text
}

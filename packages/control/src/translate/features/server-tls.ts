/** `tls` of an Istio Gateway's server: which secrets terminate it, and whom it asks for a certificate. */
import type { ServerTlsSettings } from '@weft/config'
import type { DownstreamTls, TlsVersion } from '@weft/model'
import { fileCertificate, fileRoot } from '../../snapshot/secrets.ts'

const VERSIONS: Readonly<Record<string, TlsVersion>> = {
  TLSV1_0: '1.0',
  TLSV1_1: '1.1',
  TLSV1_2: '1.2',
  TLSV1_3: '1.3',
}

/**
 * `undefined` when no certificate is named: such a server cannot be served.
 *
 * @param secretOf The SDS name of a Kubernetes Secret.
 */
export function serverTls(
  tls: ServerTlsSettings,
  secretOf: (name: string) => string,
  alpn: readonly string[],
): DownstreamTls | undefined {
  const certificates = certificatesOf(tls, secretOf)
  const [first] = certificates
  if (first === undefined) return undefined
  const requireClientCertificate = tls.mode === 'MUTUAL' || tls.mode === 'ISTIO_MUTUAL'
  const asksForClient = requireClientCertificate || tls.mode === 'OPTIONAL_MUTUAL'
  return {
    certificates,
    requireClientCertificate,
    alpn,
    ...(asksForClient ? clientValidation(tls, secretOf, first) : {}),
    ...parameters(tls),
  }
}

function certificatesOf(
  tls: ServerTlsSettings,
  secretOf: (name: string) => string,
): readonly string[] {
  if (tls.mode === 'ISTIO_MUTUAL') return ['default']
  const names = [tls.credentialName, ...(tls.credentialNames ?? [])].flatMap((name) =>
    name === undefined || name === '' ? [] : [name],
  )
  if (names.length > 0) return names.map(secretOf)
  const files = tls.tlsCertificates ?? [tls]
  return files.flatMap(({ serverCertificate = '', privateKey = '' }) =>
    serverCertificate === '' ? [] : [fileCertificate(serverCertificate, privateKey)],
  )
}

/** Whom a client's certificate must come from, and what must be in it. */
function clientValidation(
  tls: ServerTlsSettings,
  secretOf: (name: string) => string,
  certificate: string,
): Partial<DownstreamTls> {
  const names = tls.subjectAltNames ?? []
  return {
    validation: authority(tls, secretOf, certificate),
    ...(names.length === 0
      ? {}
      : {
          subjectAltNames: names.map((value) => ({
            type: 'any',
            value: { kind: 'exact', value, ignoreCase: false },
          })),
        }),
    ...(tls.verifyCertificateSpki === undefined ? {} : { verifySpki: tls.verifyCertificateSpki }),
    ...(tls.verifyCertificateHash === undefined ? {} : { verifyHash: tls.verifyCertificateHash }),
  }
}

function authority(
  tls: ServerTlsSettings,
  secretOf: (name: string) => string,
  certificate: string,
): string {
  if (tls.mode === 'ISTIO_MUTUAL') return 'ROOTCA'
  const { caCertCredentialName = '' } = tls
  if (caCertCredentialName !== '') {
    const name = secretOf(caCertCredentialName)
    return name.endsWith('-cacert') ? name : `${name}-cacert`
  }
  const file = tls.caCertificates ?? tls.tlsCertificates?.[0]?.caCertificates ?? ''
  return file === '' ? `${certificate}-cacert` : fileRoot(file)
}

function parameters(tls: ServerTlsSettings): Partial<DownstreamTls> {
  const minVersion = VERSIONS[tls.minProtocolVersion ?? '']
  const maxVersion = VERSIONS[tls.maxProtocolVersion ?? '']
  const { cipherSuites = [], ecdhCurves = [] } = tls
  return {
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(cipherSuites.length === 0 ? {} : { cipherSuites }),
    ...(ecdhCurves.length === 0 ? {} : { ecdhCurves }),
  }
}

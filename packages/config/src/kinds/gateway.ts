/**
 * `Gateway` of networking.istio.io: which ports a gateway proxy opens and for
 * which hosts. Checks beyond the schema are in `rules/istio-gateway.ts`.
 */

import {
  boolean,
  type Infer,
  integer,
  list,
  object,
  oneOfValues,
  required,
  string,
  withRules,
} from '../schema/schema.ts'
import { labels, stringList } from './istio-common.ts'

const TLS_VERSIONS = ['TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'] as const
const uint32 = { min: 0, max: 4294967295 }

const port = object({
  number: required(integer(uint32)),
  protocol: required(string()),
  name: required(string()),
  targetPort: integer(uint32),
})

export const serverTls = withRules(
  object({
    httpsRedirect: boolean(),
    mode: oneOfValues(
      'PASSTHROUGH',
      'SIMPLE',
      'MUTUAL',
      'AUTO_PASSTHROUGH',
      'ISTIO_MUTUAL',
      'OPTIONAL_MUTUAL',
    ),
    serverCertificate: string(),
    privateKey: string(),
    caCertificates: string(),
    caCrl: string(),
    credentialName: string(),
    credentialNames: list(string(), { minItems: 1, maxItems: 2 }),
    caCertCredentialName: string(),
    tlsCertificates: list(
      object({ serverCertificate: string(), privateKey: string(), caCertificates: string() }),
      { minItems: 1, maxItems: 2 },
    ),
    subjectAltNames: stringList,
    verifyCertificateSpki: stringList,
    verifyCertificateHash: stringList,
    minProtocolVersion: oneOfValues(...TLS_VERSIONS),
    maxProtocolVersion: oneOfValues(...TLS_VERSIONS),
    cipherSuites: stringList,
    ecdhCurves: stringList,
    insecureSkipVerify: boolean(),
  }),
  {
    cel: '(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1',
    message: 'only one of credentialNames and tlsCertificates may be set',
    field: 'tlsCertificates',
  },
  {
    cel: '(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1',
    message: 'only one of credentialName and credentialNames may be set',
    field: 'credentialNames',
  },
)

const server = object({
  port: required(port),
  bind: string(),
  hosts: required(stringList),
  tls: serverTls,
  defaultEndpoint: string(),
  name: string(),
})

export const gateway = object({ servers: list(server), selector: labels() })

export type Gateway = Infer<typeof gateway>
export type GatewayServer = Infer<typeof server>
export type ServerTlsSettings = Infer<typeof serverTls>

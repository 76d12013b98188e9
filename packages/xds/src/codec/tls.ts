/** TLS contexts ⇄ Envoy's `transport_socket`. Certificates always come by SDS name. */
import type {
  DownstreamTls,
  StringMatch,
  SubjectAltNameMatch,
  TlsParameters,
  TlsVersion,
  UpstreamTls,
} from '@weft/model'
import type { TransportSocket, TransportSocketSchema } from '../gen/envoy/config/core/v3/base_pb.js'
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js'
import {
  type TlsParameters as TlsParametersProto,
  TlsParametersSchema,
  TlsParameters_TlsProtocol as TlsProtocol,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js'
import type {
  SdsSecretConfig,
  SdsSecretConfigSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import {
  type CommonTlsContext,
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.js'
import { encodeString } from './matchers.ts'
import { FROM_AGENT, isFromAgent, OWN_SECRETS } from './own-secrets.ts'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { decodePeerRules, encodePeerRules, splitNames, type WantedNames } from './tls-peer-rules.ts'
import { checkFromAds, FROM_ADS, type Init, packAny, unpackAny } from './values.ts'

const TLS_SOCKET = 'envoy.transport_sockets.tls'

const TLS_PROTOCOLS = {
  '1.0': TlsProtocol.TLSv1_0,
  '1.1': TlsProtocol.TLSv1_1,
  '1.2': TlsProtocol.TLSv1_2,
  '1.3': TlsProtocol.TLSv1_3,
} as const satisfies Record<TlsVersion, TlsProtocol>

const TLS_VERSIONS = ['1.0', '1.1', '1.2', '1.3'] as const

type SocketInit = Init<typeof TransportSocketSchema>

export function encodeDownstreamTls(tls: DownstreamTls): SocketInit {
  if (tls.fromProvider === true) {
    const { certificates, validation, requireClientCertificate } = tls
    const commonTlsContext = fromProviders(certificates[0], validation, [])
    return socket(DownstreamTlsContextSchema, { commonTlsContext, requireClientCertificate })
  }
  return socket(DownstreamTlsContextSchema, {
    commonTlsContext: {
      tlsCertificateSdsSecretConfigs: tls.certificates.map(secretConfig),
      alpnProtocols: [...tls.alpn],
      ...encodeParameters(tls),
      ...encodeValidation(tls, { exact: [], matches: tls.subjectAltNames ?? [] }),
    },
    requireClientCertificate: tls.requireClientCertificate,
  })
}

/**
 * Names to check are only checked against a CA. Without one they change nothing, Envoy refuses
 * them, and they are left out.
 */
export function encodeUpstreamTls(tls: UpstreamTls): SocketInit {
  const { certificate, subjectAltNames: exact, subjectAltNameMatches: matches = [] } = tls
  if (tls.fromProvider === true) {
    const names = [
      ...exact.map((value) => ({ kind: 'exact', value, ignoreCase: false }) as const),
      ...matches.map(({ value }) => value),
    ]
    const commonTlsContext = fromProviders(certificate, tls.validation, names)
    return socket(UpstreamTlsContextSchema, { commonTlsContext })
  }
  return socket(UpstreamTlsContextSchema, {
    sni: tls.sni ?? '',
    commonTlsContext: {
      tlsCertificateSdsSecretConfigs: certificate === undefined ? [] : [secretConfig(certificate)],
      alpnProtocols: [...tls.alpn],
      ...encodeParameters(tls),
      ...encodeValidation(tls, { exact, matches }),
    },
  })
}

/** gRPC knows neither ALPN nor parameters here, and names in their older form only (gRFC A29). */
function fromProviders(
  certificate: string | undefined,
  validation: string | undefined,
  names: readonly StringMatch[],
): Init<typeof CommonTlsContextSchema> {
  return {
    ...(certificate === undefined
      ? {}
      : { tlsCertificateProviderInstance: { instanceName: certificate } }),
    ...(validation === undefined
      ? {}
      : {
          validationContextType: {
            case: 'validationContext',
            value: {
              caCertificateProviderInstance: { instanceName: validation },
              matchSubjectAltNames: names.map(encodeString),
            },
          },
        }),
  }
}

/** Pins hold without a CA, too; names do not. */
function encodeValidation(
  tls: TlsParameters & { readonly validation?: string },
  names: WantedNames,
): Pick<Init<typeof CommonTlsContextSchema>, 'validationContextType'> {
  const { validation } = tls
  const rules = encodePeerRules(validation === undefined ? NO_NAMES : names, tls)
  if (validation === undefined) {
    if (rules === undefined) return {}
    return { validationContextType: { case: 'validationContext', value: rules } }
  }
  const sds = secretConfig(validation)
  if (rules === undefined) {
    return { validationContextType: { case: 'validationContextSdsSecretConfig', value: sds } }
  }
  return {
    validationContextType: {
      case: 'combinedValidationContext',
      value: { defaultValidationContext: rules, validationContextSdsSecretConfig: sds },
    },
  }
}

const NO_NAMES: WantedNames = { exact: [], matches: [] }

function encodeParameters(tls: TlsParameters) {
  const { minVersion, maxVersion, cipherSuites, ecdhCurves } = tls
  const tlsParams = {
    ...(minVersion === undefined ? {} : { tlsMinimumProtocolVersion: TLS_PROTOCOLS[minVersion] }),
    ...(maxVersion === undefined ? {} : { tlsMaximumProtocolVersion: TLS_PROTOCOLS[maxVersion] }),
    ...(cipherSuites === undefined ? {} : { cipherSuites: [...cipherSuites] }),
    ...(ecdhCurves === undefined ? {} : { ecdhCurves: [...ecdhCurves] }),
  }
  return Object.keys(tlsParams).length === 0 ? {} : { tlsParams }
}

function decodeParameters(
  params: TlsParametersProto | undefined,
  path: string,
  problems: Problems,
): TlsParameters {
  if (params === undefined) return {}
  refuseOthers(PARAMETERS, params, path, problems)
  const minVersion = decodeVersion(params.tlsMinimumProtocolVersion)
  const maxVersion = decodeVersion(params.tlsMaximumProtocolVersion)
  const { cipherSuites, ecdhCurves } = params
  return {
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(cipherSuites.length === 0 ? {} : { cipherSuites }),
    ...(ecdhCurves.length === 0 ? {} : { ecdhCurves }),
  }
}

function socket<Schema extends typeof DownstreamTlsContextSchema | typeof UpstreamTlsContextSchema>(
  schema: Schema,
  init: Init<Schema>,
): SocketInit {
  const value = packAny(schema, init)
  return { name: TLS_SOCKET, configType: { case: 'typedConfig', value } }
}

function secretConfig(name: string): Init<typeof SdsSecretConfigSchema> {
  return { name, sdsConfig: OWN_SECRETS.includes(name) ? FROM_AGENT : FROM_ADS }
}

const COMMON = covers(
  CommonTlsContextSchema,
  ...['tls_params', 'tls_certificate_sds_secret_configs', 'alpn_protocols'],
  ...['validation_context_sds_secret_config', 'combined_validation_context'],
  'validation_context',
)
const DOWNSTREAM = covers(
  DownstreamTlsContextSchema,
  ...['common_tls_context', 'require_client_certificate'],
  // How sessions are resumed is a matter of speed.
  ...['disable_stateless_session_resumption', 'disable_stateful_session_resumption'],
  ...['session_timeout', 'full_scan_certs_on_sni_mismatch', 'prefer_client_ciphers'],
)
const UPSTREAM = covers(
  UpstreamTlsContextSchema,
  ...['common_tls_context', 'sni', 'max_session_keys', 'enforce_rsa_key_usage'],
)
const PARAMETERS = covers(
  TlsParametersSchema,
  ...['tls_minimum_protocol_version', 'tls_maximum_protocol_version'],
  ...['cipher_suites', 'ecdh_curves'],
)
const COMBINED = covers(
  CommonTlsContext_CombinedCertificateValidationContextSchema,
  ...['default_validation_context', 'validation_context_sds_secret_config'],
)
export function decodeDownstreamTls(
  transport: TransportSocket | undefined,
  path: string,
  problems: Problems,
): DownstreamTls | undefined {
  if (isPlaintext(transport)) return undefined
  const context = unpackAny(transport?.configType.value, DownstreamTlsContextSchema)
  if (context === undefined) {
    problems.add(path, `${transport?.name} is not supported`)
    return undefined
  }
  refuseOthers(DOWNSTREAM, context, path, problems)
  const common = context.commonTlsContext
  const at = `${path}.common_tls_context`
  const { certificates, validation, names, pins } = decodeCommon(common, at, problems)
  if (certificates.length === 0) {
    problems.add(`${at}.tls_certificate_sds_secret_configs`, 'must not be empty')
  }
  return {
    certificates,
    ...(validation === undefined ? {} : { validation }),
    requireClientCertificate: context.requireClientCertificate ?? false,
    ...(names.length === 0 ? {} : { subjectAltNames: names }),
    ...pins,
    alpn: common?.alpnProtocols ?? [],
    ...decodeParameters(common?.tlsParams, `${at}.tls_params`, problems),
  }
}

export function decodeUpstreamTls(
  transport: TransportSocket | undefined,
  path: string,
  problems: Problems,
): UpstreamTls | undefined {
  if (isPlaintext(transport)) return undefined
  const context = unpackAny(transport?.configType.value, UpstreamTlsContextSchema)
  if (context === undefined) {
    problems.add(path, `${transport?.name} is not supported`)
    return undefined
  }
  refuseOthers(UPSTREAM, context, path, problems)
  const at = `${path}.common_tls_context`
  const common = decodeCommon(context.commonTlsContext, at, problems)
  const { certificates, validation, pins } = common
  const { exact, matches } = splitNames(common.names)
  const [certificate, second] = certificates
  if (second !== undefined) {
    problems.add(`${at}.tls_certificate_sds_secret_configs`, 'only one is supported')
  }
  return {
    ...(certificate === undefined ? {} : { certificate }),
    ...(validation === undefined ? {} : { validation }),
    ...(context.sni === '' ? {} : { sni: context.sni }),
    subjectAltNames: exact,
    ...(matches.length === 0 ? {} : { subjectAltNameMatches: matches }),
    ...pins,
    alpn: context.commonTlsContext?.alpnProtocols ?? [],
    ...decodeParameters(context.commonTlsContext?.tlsParams, `${at}.tls_params`, problems),
  }
}

function isPlaintext(transport: TransportSocket | undefined): boolean {
  return (
    transport === undefined || unpackAny(transport.configType.value, RawBufferSchema) !== undefined
  )
}

interface CommonParts {
  readonly certificates: string[]
  readonly validation: string | undefined
  readonly names: readonly SubjectAltNameMatch[]
  readonly pins: Pick<TlsParameters, 'verifySpki' | 'verifyHash' | 'acceptUntrusted'>
}

const NO_RULES = { names: [], pins: {} } as const

function decodeCommon(
  common: CommonTlsContext | undefined,
  path: string,
  problems: Problems,
): CommonParts {
  if (common === undefined) return { certificates: [], validation: undefined, ...NO_RULES }
  refuseOthers(COMMON, common, path, problems)
  const sdsName = (config: SdsSecretConfig, at: string) => {
    const isOwn = OWN_SECRETS.includes(config.name) && isFromAgent(config.sdsConfig)
    if (!isOwn) checkFromAds(config.sdsConfig, `${at}.sds_config`, problems)
    return config.name
  }
  const certificates = common.tlsCertificateSdsSecretConfigs.map((config, index) =>
    sdsName(config, `${path}.tls_certificate_sds_secret_configs[${index}]`),
  )
  const context = common.validationContextType
  if (context.case === 'validationContextSdsSecretConfig') {
    const at = `${path}.validation_context_sds_secret_config`
    return { certificates, validation: sdsName(context.value, at), ...NO_RULES }
  }
  if (context.case === 'combinedValidationContext') {
    const at = `${path}.combined_validation_context`
    refuseOthers(COMBINED, context.value, at, problems)
    const sds = context.value.validationContextSdsSecretConfig
    if (sds === undefined) {
      problems.add(`${at}.validation_context_sds_secret_config`, 'is missing')
    }
    const rules = context.value.defaultValidationContext
    const { names, ...pins } = decodePeerRules(rules, `${at}.default_validation_context`, problems)
    const validation = sds === undefined ? undefined : sdsName(sds, at)
    return { certificates, validation, names, pins }
  }
  if (context.case === 'validationContext') {
    const at = `${path}.validation_context`
    const { names, ...pins } = decodePeerRules(context.value, at, problems)
    if (names.length > 0) problems.add(at, 'names are not checked without a trusted_ca')
    return { certificates, validation: undefined, names: [], pins }
  }
  return { certificates, validation: undefined, ...NO_RULES }
}

function decodeVersion(protocol: TlsProtocol | undefined): TlsVersion | undefined {
  return TLS_VERSIONS.find((version) => TLS_PROTOCOLS[version] === protocol)
}

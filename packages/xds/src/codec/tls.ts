/** TLS contexts ⇄ Envoy's `transport_socket`. Certificates always come by SDS name. */
import { isIP } from 'node:net'
import type { DownstreamTls, TlsParameters, TlsVersion, UpstreamTls } from '@weft/model'
import type { TransportSocket, TransportSocketSchema } from '../gen/envoy/config/core/v3/base_pb.js'
import { RawBufferSchema } from '../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.js'
import {
  type CertificateValidationContext,
  CertificateValidationContextSchema,
  SubjectAltNameMatcher_SanType as SanType,
  type SubjectAltNameMatcherSchema,
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
import { covers, type Problems, refuseOthers } from './problems.ts'
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
  const { validation } = tls
  return socket(DownstreamTlsContextSchema, {
    commonTlsContext: {
      tlsCertificateSdsSecretConfigs: tls.certificates.map(secretConfig),
      alpnProtocols: [...tls.alpn],
      ...encodeParameters(tls),
      ...(validation === undefined
        ? {}
        : {
            validationContextType: {
              case: 'validationContextSdsSecretConfig',
              value: secretConfig(validation),
            },
          }),
    },
    requireClientCertificate: tls.requireClientCertificate,
  })
}

/**
 * Names to check are only checked against a CA. Without one they change nothing, Envoy refuses
 * them, and they are left out.
 */
export function encodeUpstreamTls(tls: UpstreamTls): SocketInit {
  const { certificate, validation, subjectAltNames } = tls
  const combined = subjectAltNames.length > 0
  return socket(UpstreamTlsContextSchema, {
    sni: tls.sni ?? '',
    commonTlsContext: {
      tlsCertificateSdsSecretConfigs: certificate === undefined ? [] : [secretConfig(certificate)],
      alpnProtocols: [...tls.alpn],
      ...encodeParameters(tls),
      ...(validation === undefined
        ? {}
        : {
            validationContextType: combined
              ? {
                  case: 'combinedValidationContext',
                  value: {
                    defaultValidationContext: {
                      matchTypedSubjectAltNames: subjectAltNames.map(encodeName),
                    },
                    validationContextSdsSecretConfig: secretConfig(validation),
                  },
                }
              : { case: 'validationContextSdsSecretConfig', value: secretConfig(validation) },
          }),
    },
  })
}

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
  return { name, sdsConfig: FROM_ADS }
}

function encodeName(value: string): Init<typeof SubjectAltNameMatcherSchema> {
  const sanType = value.includes('://')
    ? SanType.URI
    : isIP(value) === 0
      ? SanType.DNS
      : SanType.IP_ADDRESS
  return { sanType, matcher: { matchPattern: { case: 'exact', value } } }
}

const COMMON = covers(
  CommonTlsContextSchema,
  ...['tls_params', 'tls_certificate_sds_secret_configs', 'alpn_protocols'],
  ...['validation_context_sds_secret_config', 'combined_validation_context'],
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
const VALIDATION = covers(
  CertificateValidationContextSchema,
  ...['match_typed_subject_alt_names', 'match_subject_alt_names'],
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
  const { certificates, validation, names } = decodeCommon(common, at, problems)
  if (certificates.length === 0) {
    problems.add(`${at}.tls_certificate_sds_secret_configs`, 'must not be empty')
  }
  if (names.length > 0) {
    problems.add(`${at}.combined_validation_context`, 'names of clients are not supported')
  }
  return {
    certificates,
    ...(validation === undefined ? {} : { validation }),
    requireClientCertificate: context.requireClientCertificate ?? false,
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
  const { certificates, validation, names } = decodeCommon(context.commonTlsContext, at, problems)
  const [certificate, second] = certificates
  if (second !== undefined) {
    problems.add(`${at}.tls_certificate_sds_secret_configs`, 'only one is supported')
  }
  return {
    ...(certificate === undefined ? {} : { certificate }),
    ...(validation === undefined ? {} : { validation }),
    ...(context.sni === '' ? {} : { sni: context.sni }),
    subjectAltNames: names,
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
  readonly names: string[]
}

function decodeCommon(
  common: CommonTlsContext | undefined,
  path: string,
  problems: Problems,
): CommonParts {
  if (common === undefined) return { certificates: [], validation: undefined, names: [] }
  refuseOthers(COMMON, common, path, problems)
  const sdsName = (config: SdsSecretConfig, at: string) => {
    checkFromAds(config.sdsConfig, `${at}.sds_config`, problems)
    return config.name
  }
  const certificates = common.tlsCertificateSdsSecretConfigs.map((config, index) =>
    sdsName(config, `${path}.tls_certificate_sds_secret_configs[${index}]`),
  )
  const context = common.validationContextType
  if (context.case === 'validationContextSdsSecretConfig') {
    const at = `${path}.validation_context_sds_secret_config`
    return { certificates, validation: sdsName(context.value, at), names: [] }
  }
  if (context.case === 'combinedValidationContext') {
    const at = `${path}.combined_validation_context`
    refuseOthers(COMBINED, context.value, at, problems)
    const sds = context.value.validationContextSdsSecretConfig
    if (sds === undefined) {
      problems.add(`${at}.validation_context_sds_secret_config`, 'is missing')
    }
    return {
      certificates,
      validation: sds === undefined ? undefined : sdsName(sds, at),
      names: decodeNames(context.value.defaultValidationContext, at, problems),
    }
  }
  return { certificates, validation: undefined, names: [] }
}

function decodeNames(
  context: CertificateValidationContext | undefined,
  path: string,
  problems: Problems,
): string[] {
  if (context === undefined) return []
  const at = `${path}.default_validation_context`
  refuseOthers(VALIDATION, context, at, problems)
  const matchers = [
    ...context.matchTypedSubjectAltNames.map((typed) => typed.matcher),
    ...context.matchSubjectAltNames,
  ]
  const names = matchers.map((matcher) => {
    const pattern = matcher?.matchPattern
    if (pattern?.case === 'exact' && matcher?.ignoreCase === false) return pattern.value
    problems.add(`${at}.match_typed_subject_alt_names`, 'only exact matches are supported')
    return ''
  })
  return [...new Set(names)]
}

function decodeVersion(protocol: TlsProtocol | undefined): TlsVersion | undefined {
  return TLS_VERSIONS.find((version) => TLS_PROTOCOLS[version] === protocol)
}

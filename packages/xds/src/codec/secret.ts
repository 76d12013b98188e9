/** Secrets ⇄ Envoy's `Secret`. Only PEM in the message itself: a proxy reads no files for a peer. */
import type { Secret, TrustDomainRoots } from '@weft/model'
import { type DataSource, DataSourceSchema } from '../gen/envoy/config/core/v3/base_pb.js'
import type {
  TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from '../gen/envoy/config/core/v3/extension_pb.js'
import {
  CertificateValidationContextSchema,
  TlsCertificateSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js'
import {
  type Secret as SecretProto,
  SecretSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import { SPIFFECertValidatorConfigSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import { type Init, packAny, unpackAny } from './values.ts'

export function encodeSecret(secret: Secret): Init<typeof SecretSchema> {
  switch (secret.kind) {
    case 'certificate': {
      const value = {
        certificateChain: inline(secret.chainPem),
        privateKey: inline(secret.keyPem),
      }
      return { name: secret.name, type: { case: 'tlsCertificate', value } }
    }
    case 'validation': {
      const { crlPem, trustDomains } = secret
      const value = {
        // Envoy's SPIFFE validator takes its roots from itself alone.
        ...(trustDomains === undefined
          ? { trustedCa: inline(secret.caPem) }
          : { customValidatorConfig: spiffeValidator(trustDomains) }),
        ...(crlPem === undefined ? {} : { crl: inline(crlPem) }),
      }
      return { name: secret.name, type: { case: 'validationContext', value } }
    }
  }
}

const SPIFFE_VALIDATOR = 'envoy.tls.cert_validator.spiffe'

function spiffeValidator(
  trustDomains: readonly TrustDomainRoots[],
): Init<typeof TypedExtensionConfigSchema> {
  const value = {
    trustDomains: trustDomains.map(({ trustDomain: name, caPem }) => ({
      name,
      trustBundle: inline(caPem),
    })),
  }
  return { name: SPIFFE_VALIDATOR, typedConfig: packAny(SPIFFECertValidatorConfigSchema, value) }
}

function inline(value: string): Init<typeof DataSourceSchema> {
  return { specifier: { case: 'inlineString', value } }
}

const SECRET = covers(SecretSchema, 'name', 'tls_certificate', 'validation_context')
const CERTIFICATE = covers(TlsCertificateSchema, 'certificate_chain', 'private_key')
const VALIDATION = covers(
  CertificateValidationContextSchema,
  'trusted_ca',
  'crl',
  'custom_validator_config',
)
const SPIFFE = covers(SPIFFECertValidatorConfigSchema, 'trust_domains')
const SOURCE = covers(DataSourceSchema, 'inline_string', 'inline_bytes')

export function decodeSecret(proto: SecretProto, problems: Problems): Secret {
  const { name, type } = proto
  refuseOthers(SECRET, proto, 'secret', problems)
  switch (type.case) {
    case 'tlsCertificate': {
      const path = 'secret.tls_certificate'
      refuseOthers(CERTIFICATE, type.value, path, problems)
      const chainPem = decodeSource(
        type.value.certificateChain,
        `${path}.certificate_chain`,
        problems,
      )
      const keyPem = decodeSource(type.value.privateKey, `${path}.private_key`, problems)
      return { kind: 'certificate', name, chainPem, keyPem }
    }
    case 'validationContext': {
      const path = 'secret.validation_context'
      refuseOthers(VALIDATION, type.value, path, problems)
      const { crl, trustedCa, customValidatorConfig: custom } = type.value
      const trust =
        custom === undefined
          ? { caPem: decodeSource(trustedCa, `${path}.trusted_ca`, problems) }
          : decodeSpiffe(custom, `${path}.custom_validator_config`, problems)
      if (crl === undefined) return { kind: 'validation', name, ...trust }
      const crlPem = decodeSource(crl, `${path}.crl`, problems)
      return { kind: 'validation', name, ...trust, crlPem }
    }
    default:
      problems.add('secret', 'neither tls_certificate nor validation_context is set')
      return { kind: 'validation', name, caPem: '' }
  }
}

function decodeSpiffe(
  { typedConfig }: TypedExtensionConfig,
  path: string,
  problems: Problems,
): { readonly caPem: string; readonly trustDomains: readonly TrustDomainRoots[] } {
  const config = unpackAny(typedConfig, SPIFFECertValidatorConfigSchema)
  if (config === undefined) {
    problems.add(path, `only ${SPIFFE_VALIDATOR} is supported`)
    return { caPem: '', trustDomains: [] }
  }
  refuseOthers(SPIFFE, config, path, problems)
  const trustDomains = config.trustDomains.map(({ name, trustBundle }, index) => ({
    trustDomain: name,
    caPem: decodeSource(trustBundle, `${path}.trust_domains[${index}].trust_bundle`, problems),
  }))
  if (trustDomains.length === 0) problems.add(`${path}.trust_domains`, 'must not be empty')
  return { caPem: trustDomains[0]?.caPem ?? '', trustDomains }
}

function decodeSource(source: DataSource | undefined, path: string, problems: Problems): string {
  if (source === undefined) {
    problems.add(path, 'is missing')
    return ''
  }
  refuseOthers(SOURCE, source, path, problems)
  const { specifier } = source
  if (specifier.case === 'inlineString') return specifier.value
  if (specifier.case === 'inlineBytes') return Buffer.from(specifier.value).toString('utf8')
  return ''
}

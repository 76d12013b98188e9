/** Secrets ⇄ Envoy's `Secret`. Only PEM in the message itself: a proxy reads no files for a peer. */
import type { Secret } from '@weft/model'
import { type DataSource, DataSourceSchema } from '../gen/envoy/config/core/v3/base_pb.js'
import {
  CertificateValidationContextSchema,
  TlsCertificateSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js'
import {
  type Secret as SecretProto,
  SecretSchema,
} from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import type { Init } from './values.ts'

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
      const { crlPem } = secret
      const value = {
        trustedCa: inline(secret.caPem),
        ...(crlPem === undefined ? {} : { crl: inline(crlPem) }),
      }
      return { name: secret.name, type: { case: 'validationContext', value } }
    }
  }
}

function inline(value: string): Init<typeof DataSourceSchema> {
  return { specifier: { case: 'inlineString', value } }
}

const SECRET = covers(SecretSchema, 'name', 'tls_certificate', 'validation_context')
const CERTIFICATE = covers(TlsCertificateSchema, 'certificate_chain', 'private_key')
const VALIDATION = covers(CertificateValidationContextSchema, 'trusted_ca', 'crl')
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
      const caPem = decodeSource(type.value.trustedCa, `${path}.trusted_ca`, problems)
      const { crl } = type.value
      if (crl === undefined) return { kind: 'validation', name, caPem }
      return { kind: 'validation', name, caPem, crlPem: decodeSource(crl, `${path}.crl`, problems) }
    }
    default:
      problems.add('secret', 'neither tls_certificate nor validation_context is set')
      return { kind: 'validation', name, caPem: '' }
  }
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

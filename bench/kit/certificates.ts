/** A CA and one certificate for both ends, made anew for each run. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { certificateSecret, type Json, validationSecret } from './resources.ts'

export interface Certificates {
  readonly dir: string
  readonly caPath: string
  readonly certPath: string
  readonly keyPath: string
  /** Certificate and key in one file, as HAProxy wants them. */
  readonly bundlePath: string
  /** Named `identity` and `ca`. */
  readonly secrets: readonly Json[]
}

/** @throws {Error} When openssl is missing or fails. */
export function makeCertificates(parent: string): Certificates {
  const dir = `${parent}/certificates`
  mkdirSync(dir)
  const openssl = (...args: string[]) =>
    execFileSync('openssl', args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  const ca = ['-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=bench ca']
  openssl('req', '-x509', ...key, ...ca)
  openssl('req', ...key, '-keyout', 'key.pem', '-out', 'request.pem', '-subj', '/CN=bench')
  writeFileSync(
    `${dir}/names.cnf`,
    [
      'subjectAltName=DNS:bench,DNS:localhost,IP:127.0.0.1,URI:spiffe://bench/ns/default/sa/app',
      'extendedKeyUsage=serverAuth,clientAuth',
      'keyUsage=critical,digitalSignature',
      '',
    ].join('\n'),
  )
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2']
  const signed = ['-in', 'request.pem', '-out', 'cert.pem', '-extfile', 'names.cnf']
  openssl('x509', '-req', ...signer, ...signed)
  const [certPem, keyPem, caPem] = ['cert.pem', 'key.pem', 'ca.pem'].map((name) =>
    readFileSync(`${dir}/${name}`, 'utf8'),
  ) as [string, string, string]
  writeFileSync(`${dir}/bundle.pem`, certPem + keyPem)
  return {
    dir,
    caPath: `${dir}/ca.pem`,
    certPath: `${dir}/cert.pem`,
    keyPath: `${dir}/key.pem`,
    bundlePath: `${dir}/bundle.pem`,
    secrets: [certificateSecret('identity', certPem, keyPem), validationSecret('ca', caPem)],
  }
}

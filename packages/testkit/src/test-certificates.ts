/**
 * Certificates for tests, made on the spot: a CA, what it issues, with names of
 * any form, also such as no honest CA would write.
 */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'

export interface TestCertificate {
  readonly certPem: string
  readonly keyPem: string
}

export interface TestNames {
  readonly dns?: readonly string[]
  readonly uri?: readonly string[]
  /** Whole GeneralName elements in DER. */
  readonly raw?: readonly Uint8Array[]
  readonly commonName?: string
  /** Wall clock, milliseconds; default: ten years from 2025. */
  readonly notAfterMs?: number
}

export interface TestCa {
  readonly caPem: string
  issue(names: TestNames): TestCertificate
  /** A revocation list that holds the given certificates. */
  revoke(...certificates: readonly TestCertificate[]): string
}

const FROM_MS = Date.UTC(2025, 0, 1)
const UNTIL_MS = Date.UTC(2045, 0, 1)

/** Tag, length, content. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts)
const oid = (...bytes: readonly number[]) => der(0x06, Buffer.from(bytes))
const ECDSA_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))

function nameOf(commonName: string): Buffer {
  return sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from(commonName)))))
}

function timeOf(ms: number): Buffer {
  const text = new Date(ms).toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  return der(0x18, Buffer.from(text))
}

function extension(id: readonly number[], critical: boolean, value: Uint8Array): Buffer {
  const flag = critical ? [der(0x01, Buffer.from([0xff]))] : []
  return sequence(oid(...id), ...flag, der(0x04, value))
}

interface Issuer {
  readonly name: Buffer
  readonly key: KeyObject
}

function signed(content: Buffer, { key }: Issuer): Buffer {
  const signature = sign('sha256', content, key)
  return sequence(content, ECDSA_SHA256, der(0x03, Buffer.from([0]), signature))
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

function serialNumber(): Buffer {
  const bytes = randomBytes(12)
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40
  return der(0x02, bytes)
}

export function createTestCa(commonName = 'Test CA'): TestCa {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer: Issuer = { name: nameOf(commonName), key: keys.privateKey }
  const serials = new Map<string, Buffer>()

  const make = (subject: Buffer, key: KeyObject, untilMs: number, extensions: Buffer[]) => {
    const serial = serialNumber()
    const content = sequence(
      der(0xa0, der(0x02, Buffer.from([2]))),
      serial,
      ECDSA_SHA256,
      issuer.name,
      sequence(timeOf(FROM_MS), timeOf(untilMs)),
      subject,
      key.export({ type: 'spki', format: 'der' }),
      der(0xa3, sequence(...extensions)),
    )
    const certPem = pem('CERTIFICATE', signed(content, issuer))
    serials.set(certPem, serial)
    return certPem
  }

  const id = createHash('sha1').update(commonName).digest()
  const caPem = make(issuer.name, keys.publicKey, UNTIL_MS, [
    extension([0x55, 0x1d, 0x13], true, sequence(der(0x01, Buffer.from([0xff])))),
    extension([0x55, 0x1d, 0x0f], true, der(0x03, Buffer.from([1, 0x06]))),
    extension([0x55, 0x1d, 0x0e], false, der(0x04, id)),
  ])
  return {
    caPem,
    issue({ dns = [], uri = [], raw = [], commonName: name = 'leaf', notAfterMs = UNTIL_MS }) {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const names = [
        ...dns.map((text) => der(0x82, Buffer.from(text))),
        ...uri.map((text) => der(0x86, Buffer.from(text))),
        ...raw,
      ]
      const extensions =
        names.length === 0 ? [] : [extension([0x55, 0x1d, 0x11], false, sequence(...names))]
      const authority = extension([0x55, 0x1d, 0x23], false, sequence(der(0x80, id)))
      return {
        certPem: make(nameOf(name), publicKey, notAfterMs, [...extensions, authority]),
        keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
    revoke(...certificates) {
      const entries = certificates.map(({ certPem }) =>
        sequence(serials.get(certPem) ?? Buffer.alloc(0), timeOf(FROM_MS)),
      )
      const content = sequence(
        der(0x02, Buffer.from([1])),
        ECDSA_SHA256,
        issuer.name,
        timeOf(FROM_MS),
        timeOf(UNTIL_MS),
        ...(entries.length === 0 ? [] : [sequence(...entries)]),
      )
      return pem('X509 CRL', signed(content, issuer))
    },
  }
}

/** R66: cryptography is Node's, ciphers are authenticated, and secrets are compared in constant time. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { describe, test } from 'node:test'

const SOURCES = globSync('packages/*/src/**/*.ts', {
  exclude: ['**/node_modules/**', '**/gen/**', '**/testkit/**'],
}).filter((file) => !/\.(test|bench)\.ts$|-fixture\.ts$|\/test-[^/]*\.ts$/.test(file))

/** Where old digests are part of a protocol and protect nothing. */
const SHA1 = [
  // RFC 6455, section 4.2.2.
  'packages/proxy/src/exchange/relay-response.ts',
  'packages/wire/src/websocket/handshake.ts',
  // RFC 5280, section 4.2.1.2: a name for a key.
  'packages/identity/src/x509/write-certificate.ts',
  // Redis names scripts so.
  'packages/control/src/rate-limit/redis-counts.ts',
]

function* matches(pattern: RegExp): Generator<{ readonly file: string; readonly text: string }> {
  for (const file of SOURCES) {
    for (const [text] of readFileSync(file, 'utf8').matchAll(pattern)) yield { file, text }
  }
}

describe('R66: cryptography', () => {
  test('comes from node:crypto and nowhere else', () => {
    const foreign =
      /from '(?:crypto-js|jose|jsonwebtoken|node-forge|tweetnacl|libsodium[^']*|sjcl|bcrypt[^']*|@noble\/[^']*|@stablelib\/[^']*)'/g
    assert.deepEqual([...matches(foreign)], [])
    assert.ok([...matches(/from 'node:crypto'/g)].length > 5)
  })

  test('encrypts with AES-256-GCM only', () => {
    const ciphers = [...matches(/'(?:aes|chacha|des|rc4|bf|camellia)[-\d][^']*'/g)]
    assert.deepEqual([...new Set(ciphers.map(({ text }) => text))], ["'aes-256-gcm'"])
    const calls = [...matches(/create(?:C|Dec)ipheriv?\(\s*\w+/g)]
    assert.ok(calls.length > 0)
    for (const { text } of calls) assert.match(text, /\(\s*CIPHER$/)
  })

  test('has old digests only where a protocol names things by them', () => {
    const old = [...matches(/'(?:md4|md5|sha1|sha-1|ripemd\w*)'/gi)]
    assert.deepEqual([...new Set(old.map(({ file }) => file))].sort(), [...SHA1].sort())
  })

  test('makes no secret of Math.random', () => {
    const near = /(?:token|secret|nonce|salt|serial|password)\w* *=[^\n]*Math\.random/gi
    assert.deepEqual([...matches(near)], [])
  })

  test('compares secrets in constant time, or by their hash as a key', () => {
    // A `secret` is a resource of SDS here, which is the same object or not.
    const compared =
      /(?<![.\w])(?:\w*[tT]oken|password|passphrase|hmac|digest) *[!=]== *(?!undefined|null|''|typeof)[a-zA-Z_$][\w.$]*/g
    const found = [...matches(compared)].filter(
      ({ text }) => !/[tT]oken *[!=]== *\w*[kK]ind/.test(text),
    )
    assert.deepEqual(found, [])
    assert.ok([...matches(/timingSafeEqual\(/g)].length >= 3)
  })
})

/** Keys of issuers and lists of revoked tokens, as their files and servers change. */
import assert from 'node:assert/strict'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { silentLogger } from '@weft/base'
import { eventually, FakeClock } from '@weft/testkit'
import { KeyFeed } from './key-feed.ts'
import { Revocations } from './revocations.ts'
import { testIssuer } from './test-tokens.ts'

let folder = ''
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-keys-'))
})
after(() => rm(folder, { recursive: true, force: true }))

function feedOf(from: string, allowedHosts: readonly string[] = []) {
  const clock = new FakeClock()
  let told = 0
  const feed = new KeyFeed(
    { from, allowedHosts },
    {
      clock,
      log: silentLogger,
      onKeys() {
        told++
      },
    },
  )
  return { feed, clock, told: () => told }
}

const kids = ({ keys }: KeyFeed) => keys.map(({ kid }) => kid)

describe('keys of an issuer', () => {
  test('a file that changes is read again; one that is broken changes nothing', async () => {
    const path = join(folder, 'keys.json')
    await writeFile(path, testIssuer('ES256', 'k1').keySet)
    const { feed, clock, told } = feedOf(path)
    await feed.open()
    assert.deepEqual([kids(feed), told(), feed.problem], [['k1'], 1, undefined])
    await writeFile(path, '{"keys": [')
    clock.advance(5_000)
    await eventually(() => assert.match(feed.problem ?? '', /Cannot read key set/))
    assert.deepEqual([kids(feed), told()], [['k1'], 1], 'the keys of before stay')
    await writeFile(`${path}.new`, testIssuer('RS256', 'k2').keySet)
    await rename(`${path}.new`, path)
    clock.advance(10_000)
    await eventually(() => assert.deepEqual([kids(feed), told()], [['k2'], 2]))
    feed.close()
    assert.equal(clock.pending, 0)
  })

  test('a file that is not there is a problem, and is looked for again', async () => {
    const path = join(folder, 'later.json')
    const { feed, clock } = feedOf(path)
    await feed.open()
    assert.match(feed.problem ?? '', /ENOENT/)
    await writeFile(path, testIssuer().keySet)
    clock.advance(10_000)
    await eventually(() => assert.deepEqual(kids(feed), ['k1']))
    feed.close()
  })

  test('a URL is asked for unknown keys at once, but not for each of them', async () => {
    let asked = 0
    let keySet = testIssuer('ES256', 'k1').keySet
    const server = createServer((_request, response) => {
      asked++
      response.setHeader('cache-control', 'max-age=60').end(keySet)
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    const { feed, clock } = feedOf(`http://127.0.0.1:${port}/jwks`, ['127.0.0.1'])
    await feed.open()
    assert.deepEqual([kids(feed), asked], [['k1'], 1])
    keySet = testIssuer('ES256', 'k2').keySet
    await feed.renew()
    assert.equal(asked, 1, 'it was asked a moment ago')
    clock.advance(10_000)
    await Promise.all([feed.renew(), feed.renew()])
    assert.deepEqual([kids(feed), asked], [['k2'], 2])
    clock.advance(60_000)
    await eventually(() => assert.equal(asked, 3))
    feed.close()
    server.close()
    server.closeAllConnections()
  })

  test('R61: a URL that leads to this machine is not asked unless somebody allowed it', async () => {
    for (const url of ['http://127.0.0.1:1/jwks', 'https://169.254.169.254/latest/meta-data']) {
      const { feed } = feedOf(url)
      await feed.open()
      assert.match(feed.problem ?? '', /may not be asked/)
      assert.deepEqual(feed.keys, [])
      feed.close()
    }
  })
})

describe('revoked tokens', () => {
  test('are what the file says now, without comments', async () => {
    const path = join(folder, 'revoked')
    const clock = new FakeClock()
    let told = 0
    const onChange = () => {
      told++
    }
    const revocations = new Revocations(path, { clock, log: silentLogger, onChange })
    await assert.rejects(revocations.open(), /ENOENT/)
    await writeFile(path, 'j1\n\n# left the company\n  j2 # and this one\n')
    await revocations.open()
    assert.deepEqual(
      ['j1', 'j2', '#', ''].map((id) => revocations.has(id)),
      [true, true, false, false],
    )
    await writeFile(path, 'j2\nj3\n')
    clock.advance(5_000)
    await eventually(() => assert.equal(told, 2))
    assert.deepEqual(
      ['j1', 'j2', 'j3'].map((id) => revocations.has(id)),
      [false, true, true],
    )
    revocations.close()
  })
})

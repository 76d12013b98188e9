import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { realClock } from '@weft/base'
import { type FetchRules, guardedFetch } from './guarded-fetch.ts'

const RULES: FetchRules = {
  clock: realClock,
  timeoutMs: 5_000,
  maxBytes: 1_000,
  allowedHosts: [],
}

async function server(t: TestContext, answer: (response: ServerResponse) => void) {
  let asked = 0
  const open = createServer((_request, response) => {
    asked++
    answer(response)
  })
  await new Promise<void>((resolve) => open.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    open.closeAllConnections()
    open.close()
  })
  return { port: (open.address() as AddressInfo).port, asked: () => asked }
}

test('R61, R76: nothing is asked that only we can reach, however it is written', async (t) => {
  const { port, asked } = await server(t, (response) => response.end('secret'))
  const hosts = ['127.0.0.1', '127.1', '2130706433', '0x7f.1', '0.0.0.0', '[::1]', '[::]']
  const others = ['[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[64:ff9b::7f00:1]', '[fe80::1]']
  const metadata = ['169.254.169.254', '[fd00:ec2::254]', '100.100.100.200', '[2002:7f00:1::]']
  for (const host of [...hosts, ...others, ...metadata]) {
    const found = await guardedFetch(`https://${host}:${port}/`, RULES)
    assert.equal(found.ok, false, host)
    assert.match(found.problem, /may not be asked/, host)
  }
  assert.equal(asked(), 0)
})

test('R76: a name is refused for any bad address, and connected where it was checked', async (t) => {
  const { port, asked } = await server(t, (response) => response.end('ok'))
  let lookups = 0
  const resolve = () => {
    lookups++
    // Somebody rebinds the name behind our back.
    return Promise.resolve(lookups > 1 ? ['127.0.0.1'] : ['203.0.113.1', '127.0.0.1'])
  }
  const refused = await guardedFetch(`https://rebound.example:${port}/`, { ...RULES, resolve })
  assert.ok(!refused.ok)
  assert.match(refused.problem, /127\.0\.0\.1/)
  assert.equal(lookups, 1)
  assert.equal(asked(), 0)
})

test('plain http, other schemes and users in URLs are refused', async () => {
  for (const url of [
    'http://idp.example/',
    'ftp://idp.example/',
    'file:///etc/passwd',
    'https://a:b@idp.example/',
    'no url',
  ]) {
    assert.equal((await guardedFetch(url, RULES)).ok, false, url)
  }
})

test('a host that an operator allows is asked; its redirects and floods are not followed', async (t) => {
  const answers: readonly ((response: ServerResponse) => void)[] = [
    (response) => response.setHeader('cache-control', 'public, max-age=90').end('keys'),
    (response) => response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
    (response) => response.end('x'.repeat(1_001)),
    (response) => response.writeHead(404).end(),
    (response) => response.write('half', () => response.destroy()),
  ]
  const results = []
  for (const answer of answers) {
    const { port } = await server(t, answer)
    const rules = { ...RULES, allowedHosts: ['127.0.0.1'] }
    results.push(await guardedFetch(`http://127.0.0.1:${port}/`, rules))
  }
  const [first, ...others] = results
  assert.deepEqual(first, { ok: true, body: 'keys', maxAgeMs: 90_000 })
  assert.deepEqual(
    others.map(({ ok }) => ok),
    [false, false, false, false],
  )
})

test('who never answers is not waited for', async (t) => {
  const { port } = await server(t, () => {})
  const rules = { ...RULES, timeoutMs: 50, allowedHosts: ['127.0.0.1'] }
  const found = await guardedFetch(`http://127.0.0.1:${port}/`, rules)
  assert.deepEqual(found, { ok: false, problem: 'no answer in 50 ms' })
})

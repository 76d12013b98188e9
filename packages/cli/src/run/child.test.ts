import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseAddress, parseConnect, parsePortMap } from './addresses.ts'
import { childEnvironment, exitCodeOf, startChild } from './child.ts'
import { readyReportOf } from './report-ready.ts'

describe('childEnvironment()', () => {
  const facts = { WEFT_SERVICE: 'reviews', WEFT_VERSION: undefined }

  test('points ordinary HTTP clients to the sidecar, in both spellings', () => {
    const env = childEnvironment({ PATH: '/bin' }, { outboundPort: 15_001, appPort: 9_080, facts })
    assert.equal(env.HTTP_PROXY, 'http://127.0.0.1:15001')
    assert.equal(env.http_proxy, env.HTTP_PROXY)
    assert.equal(env.NODE_USE_ENV_PROXY, '1')
    assert.equal(env.PORT, '9080')
    assert.equal(env.PATH, '/bin')
    assert.equal(env.WEFT_SERVICE, 'reviews')
  })

  test('keeps what somebody excluded and adds this machine', () => {
    const env = childEnvironment(
      { no_proxy: 'db.internal,localhost' },
      { outboundPort: 1, appPort: undefined, facts: {} },
    )
    assert.equal(env.NO_PROXY, 'db.internal,localhost,127.0.0.1,::1')
    assert.equal(env.no_proxy, env.NO_PROXY)
    assert.equal('PORT' in env, false)
  })

  test('has no part in how the sidecar allocates, unless somebody chose it', () => {
    const options = { outboundPort: 1, appPort: undefined, facts: {} }
    const name = 'MALLOC_MMAP_THRESHOLD_'
    assert.equal(childEnvironment({ [name]: '30000' }, options)[name], undefined)
    assert.equal(childEnvironment({ [name]: '65536' }, options)[name], '65536')
  })
})

test('an exit code is the child’s, or 128 and the signal, as a shell says it', () => {
  assert.equal(exitCodeOf(7, null), 7)
  assert.equal(exitCodeOf(null, 'SIGKILL'), 137)
  assert.equal(exitCodeOf(null, 'SIGTERM'), 143)
})

test('a command that is not there is told from one that cannot be run', async () => {
  await assert.rejects(startChild(['/no/such/command'], {}, '/'), { exitCode: 127 })
  await assert.rejects(startChild([import.meta.dirname], {}, '/'), { exitCode: 126 })
})

describe('addresses on a command line', () => {
  test('a port alone is one of this machine', () => {
    assert.deepEqual(parseAddress('xds', '8080'), { host: '127.0.0.1', port: 8080 })
    assert.deepEqual(parseAddress('xds', ':8080'), { host: '127.0.0.1', port: 8080 })
    assert.deepEqual(parseAddress('xds', 'example.com:1'), { host: 'example.com', port: 1 })
    assert.deepEqual(parseAddress('xds', '[::1]:1'), { host: '::1', port: 1 })
    assert.deepEqual(parseConnect('control', 'unix:/run/weft'), { path: '/run/weft' })
  })

  for (const text of ['', 'host', 'host:', '1:2:3', 'host:99999', '::1:80', 'http://a:80']) {
    test(`refuses '${text}'`, () => {
      assert.throws(() => parseAddress('xds', text), /--xds must look like 127.0.0.1:8080/)
    })
  }

  test('a port map is pairs of ports', () => {
    assert.deepEqual(parsePortMap('map', { '80': '8080' }), { '80': 8080 })
    assert.throws(() => parsePortMap('map', { '80': 'x' }), /--map must look like 80=8080/)
  })
})

test('only our own messages count as ready', () => {
  const report = { kind: 'control', pid: 1, ports: { xds: 2 } }
  assert.deepEqual(readyReportOf({ weft: report }), report)
  for (const message of [null, 'ready', { other: 1 }]) {
    assert.equal(readyReportOf(message), undefined)
  }
})

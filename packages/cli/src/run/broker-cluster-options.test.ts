import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Arguments } from '../arguments.ts'
import { UsageError } from '../command.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { clusterOptionsOf } from './broker-cluster-options.ts'
import { upstreamOptionsOf } from './broker-upstream-options.ts'

type Given = Readonly<Record<string, string | readonly string[]>>

function given(values: Given): Arguments {
  return {
    flag: (name: string) => values[name] !== undefined,
    value: (name: string) => values[name],
    list: (name: string) => values[name] ?? [],
  } as unknown as Arguments
}

const here = { cwd: '/here', env: {} } as Terminal
const read = (values: Given, terminal = here) => clusterOptionsOf(given(values), terminal)
const ETCD = { etcd: ['10.0.0.1:2379'] }

describe('a cluster of brokers', () => {
  test('is none without etcd', () => {
    assert.equal(read({}), undefined)
  })

  test('needs no more than its etcd on one machine', () => {
    assert.deepEqual(read({ etcd: ['127.0.0.1:2379'] }), {
      settings: {
        ...{ prefix: '/weft/rsocket/', zone: '', peers: [] },
        etcd: { urls: ['http://127.0.0.1:2379'] },
      },
      listen: { host: '127.0.0.1', port: 0 },
    })
  })

  test('takes members in every form that people write', () => {
    const urls = ['etcd1', 'http://etcd2/', 'https://etcd3:443', 'https://etcd4', '[::1]:2379']
    assert.deepEqual(read({ etcd: urls })?.settings.etcd.urls, [
      'http://etcd1:2379',
      'http://etcd2:2379',
      'https://etcd3:443',
      'https://etcd4:2379',
      'http://[::1]:2379',
    ])
  })

  test('says where others find it', () => {
    const options = read({
      ...ETCD,
      'cluster-listen': '0.0.0.0:7881',
      'cluster-address': 'b1.internal:7881',
      'etcd-prefix': '/shop/rsocket',
      advertise: ['tcps://b1.example:7878', 'wss://b1.example/'],
      zone: 'a',
    })
    assert.deepEqual(options?.address, { host: 'b1.internal', port: 7881 })
    assert.deepEqual(options?.external, ['tcps://b1.example:7878', 'wss://b1.example/'])
    assert.equal(options?.settings.prefix, '/shop/rsocket/')
    assert.equal(options?.settings.zone, 'a')
  })

  test('takes the password from the environment, on loopback or over TLS', () => {
    const terminal = { ...here, env: { WEFT_ETCD_PASSWORD: 'secret' } } as Terminal
    const user = { name: 'weft', password: 'secret' }
    for (const url of ['127.0.0.1:2379', 'https://etcd.example:2379']) {
      const options = read({ etcd: [url], 'etcd-user': 'weft' }, terminal)
      assert.deepEqual(options?.settings.etcd.user, user)
    }
    assert.throws(
      () => read({ ...ETCD, 'etcd-user': 'weft' }, terminal),
      /password could be read on the way to http:\/\/10\.0\.0\.1:2379/,
    )
  })

  for (const [values, problem] of [
    [{ zone: 'a' }, /--zone is for a cluster of brokers: name its etcd/],
    [{ etcd: ['a:2379,b:2379'] }, /once for each member/],
    [{ etcd: ['http://etcd/path'] }, /--etcd must look like/],
    [{ etcd: ['http://me:secret@etcd'] }, /--etcd-user NAME/],
    [{ ...ETCD, 'cluster-listen': '0.0.0.0:7881' }, /--cluster-address HOST:PORT/],
    [{ ...ETCD, 'etcd-cert': 'a' }, /belong together/],
    [{ ...ETCD, 'etcd-ca': 'a' }, /need --etcd https/],
    [{ etcd: ['https://e'], 'etcd-ca': 'nowhere.pem' }, /cannot read \/here\/nowhere\.pem/],
    [{ ...ETCD, 'etcd-user': 'weft' }, /--etcd-password-file or WEFT_ETCD_PASSWORD/],
    [{ ...ETCD, 'etcd-password-file': 'a' }, /needs --etcd-user/],
    [{ ...ETCD, 'etcd-prefix': 'weft' }, /--etcd-prefix must look like/],
    [{ ...ETCD, 'cluster-peer': ['broker'] }, /--cluster-peer must look like spiffe:/],
    [{ ...ETCD, advertise: ['b1:7878'] }, /--advertise must look like/],
  ] as const) {
    test(`is refused with ${JSON.stringify(values)}`, () => {
      assert.throws(
        () => read(values),
        (error: unknown) => error instanceof UsageError && problem.test(error.message),
      )
    })
  }
})

describe('the upstream of a broker', () => {
  const upstream = (values: Given) => upstreamOptionsOf(given(values), here)

  test('is none without a word, and dialled as it is written', () => {
    assert.equal(upstream({}), undefined)
    const plain = upstream({ 'upstream-broker': '127.0.0.1:7878' })
    assert.deepEqual(plain?.target, { kind: 'tcp', address: { host: '127.0.0.1', port: 7878 } })
    const secure = upstream({ 'upstream-broker': 'tcps://b1.example:7878' })?.target
    assert.ok(secure?.kind === 'tcp')
    assert.deepEqual(secure.tls?.(), { serverName: 'b1.example' })
    const web = upstream({ 'upstream-broker': 'wss://b1.example/rsocket' })?.target
    assert.deepEqual(web, { kind: 'websocket', url: 'wss://b1.example/rsocket' })
  })

  for (const [values, problem] of [
    [{ 'upstream-ca': 'a' }, /--upstream-ca needs --upstream-broker/],
    [{ 'upstream-broker': 'http://b1' }, /must look like tcps:\/\/broker:7878/],
    [{ 'upstream-broker': 'b1:7878', 'upstream-ca': 'a' }, /are for tcps:/],
    [{ 'upstream-broker': 'b1:7878', 'upstream-token-file': 'nowhere' }, /cannot read nowhere/],
  ] as const) {
    test(`is refused with ${JSON.stringify(values)}`, () => {
      assert.throws(() => upstream(values), problem)
    })
  }

  test('gets no token in plaintext over a network', () => {
    const file = import.meta.filename
    assert.throws(
      () => upstream({ 'upstream-broker': 'ws://b1.example/', 'upstream-token-file': file }),
      /could be read on the way to b1\.example/,
    )
  })
})

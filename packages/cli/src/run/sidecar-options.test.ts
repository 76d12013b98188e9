import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseArguments } from '../arguments.ts'
import { run } from '../commands/run.ts'
import type { Terminal } from '../terminal/terminal.ts'
import { configSourceOf, identityOptionsOf, offersOf, workloadOf } from './sidecar-options.ts'

function offered(...words: string[]) {
  const args = parseArguments(run, [...words, '--', 'app'])
  const [offer] = offersOf(args, 3_000, args.value('inbound'))
  return offer && { address: offer.address, listenPort: offer.listenPort, appPort: offer.appPort }
}

const reviews = ['--service', 'reviews', '--port', '9080']

test('the sidecar listens on a free port of the address that peers know, unless told otherwise', () => {
  const free = { address: '127.0.0.1', listenPort: 0, appPort: 3_000 }
  assert.deepEqual(offered(...reviews), free)
  assert.deepEqual(offered(...reviews, '--inbound', '8443'), { ...free, listenPort: 8_443 })
  const own = { ...free, address: '10.0.0.7' }
  assert.deepEqual(offered(...reviews, '--address', '10.0.0.7'), own)
  const fixed = { ...own, listenPort: 8_443 }
  assert.deepEqual(offered(...reviews, '--inbound', '10.0.0.7:8443'), fixed)
  assert.deepEqual(offered(...reviews, '--address', '10.0.0.7', '--inbound', '8443'), fixed)
})

test('what contradicts itself is refused', () => {
  assert.throws(() => offered('--inbound', '8443'), /--inbound needs a service/)
  assert.throws(
    () => offered(...reviews, '--address', '10.0.0.7', '--inbound', '10.0.0.8:8443'),
    /name different hosts: 10\.0\.0\.8:8443, 10\.0\.0\.7/,
  )
  assert.throws(() => offered(...reviews, '--inbound', 'x'), /--inbound must look like/)
})

/** Where nothing was ever kept. */
const NOWHERE = { env: { XDG_STATE_HOME: '/nonexistent' } } as unknown as Terminal

function joined(...words: string[]) {
  const args = parseArguments(run, [...words, '--', 'app'])
  const workload = workloadOf(args, 'app')
  const source = configSourceOf(args, workload, NOWHERE)
  const identity = identityOptionsOf(args, workload, NOWHERE)
  const { dir: _, ...rest } = identity ?? {}
  return { isTls: source.kind === 'ads' && source.isTls === true, ...rest }
}

test('port 15012 and tls: are mutual TLS; certificates are asked for and renewed there', () => {
  const token = ['--join-token', 'wjt_a@sha256:b']
  const proof = { kind: 'token', token: 'wjt_a@sha256:b' }
  for (const [written, port] of [
    ['cp.example:15012', 15_012],
    ['tls:cp.example:9000', 9_000],
  ] as const) {
    const connect = { host: 'cp.example', port }
    assert.deepEqual(joined('--control', written, ...token), {
      ...{ isTls: true, connect, proof, tls: {}, renewConnect: connect },
    })
    assert.throws(() => joined('--control', written), /is TLS: --join-token TOKEN or --token-file/)
  }
})

test('in plaintext a used token is followed by renewals at the port beside; elsewhere nothing is guessed', () => {
  const token = ['--join-token', 'wjt_a']
  const at = (host: string, port: number) => ({ host, port })
  assert.deepEqual(joined('--control', 'cp:15010', ...token), {
    ...{ isTls: false, connect: at('cp', 15_010), renewConnect: at('cp', 15_012) },
    proof: { kind: 'token', token: 'wjt_a' },
  })
  assert.equal('renewConnect' in joined('--control', 'cp:9000', ...token), false)
})

test('on this machine the secret of its user is looked for, also where none is yet; elsewhere never', () => {
  const local = joined('--control', '127.0.0.1:9000')
  assert.deepEqual(local, {
    isTls: false,
    connect: { host: '127.0.0.1', port: 9_000 },
    proof: {
      kind: 'bootstrapFile',
      path: '/nonexistent/weft/bootstrap/127.0.0.1-9000.token',
    },
  })
  assert.deepEqual(joined('--control', '10.0.0.1:9000'), { isTls: false })
})

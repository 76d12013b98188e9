/** Dialling another broker that is not there, or does not speak. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '@weft/base'
import { createHandleTransport } from '@weft/net'
import { eventually, FakeClock } from '@weft/testkit'
import { Broker } from '../broker.ts'
import { createAuthority, tlsOf } from './cluster-fixture.ts'
import { HopDialer } from './hop-dialer.ts'

test('a broker that says nothing is given up after 5 s, once, for that reason, and dialled again', async () => {
  const transport = createHandleTransport()
  const clock = new FakeClock()
  const warnings: unknown[] = []
  const log = { ...silentLogger, warn: (...said: unknown[]) => void warnings.push(said) }
  let came = 0
  let gone = 0
  const listening = await transport.listen(
    { address: { host: '127.0.0.1', port: 0 } },
    (socket) => {
      came++
      return {
        onOpen() {},
        onData() {},
        onEnd: () => socket.close(),
        onDrain() {},
        onClose: () => void gone++,
      }
    },
  )
  const broker = new Broker({ id: 'b1' }, { transport, clock, log, random: () => 0.5 })
  const dialer = new HopDialer(
    {
      own: { id: 'b1', incarnation: 'x' },
      peer: { id: 'b2', incarnation: 'y' },
      addr: `127.0.0.1:${listening.address.port}`,
    },
    {
      ...{ broker, transport, clock, log, random: () => 0.5, tls: tlsOf(createAuthority()) },
      ...{ onDialled() {}, onUp() {}, onStale() {} },
    },
  )
  dialer.open()
  for (let attempt = 1; attempt <= 3; attempt++) {
    await eventually(() => assert.equal(came, attempt))
    clock.advance(5_000)
    await eventually(() => assert.equal(gone, attempt))
    // The end of our own socket is told in a later turn.
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(dialer.problem, 'no answer in 5000 ms')
    // Half of 50, 100, 200 ms: a failure that counted twice would wait longer.
    clock.advance(25 * 2 ** (attempt - 1))
  }
  assert.equal(warnings.length, 1)
  dialer.close()
  broker.close()
  await listening.close()
})

/** The Workload API by SPIFFE's rules, over a real socket and with gRPC's own client. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  type ClientReadableStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js'
import { realClock, silentLogger } from '@weft/base'
import { eventually } from '@weft/testkit'
import { openWorkloadApi } from './open-workload-api.ts'
import type { WorkloadSource, WorkloadState } from './workload-source.ts'

const folder = mkdtempSync(join(tmpdir(), 'weft-workload-'))
const path = join(folder, 'private', 'workload.sock')
const listeners = new Set<() => void>()
let state: WorkloadState = { kind: 'waiting' }
const source: WorkloadSource = {
  state: () => state,
  onChange(changed) {
    listeners.add(changed)
    return () => listeners.delete(changed)
  },
  fetchJwt: (audiences, id) =>
    Promise.resolve(
      id === '' || id === 'spiffe://d/a'
        ? { ok: true, id: 'spiffe://d/a', token: `for ${audiences.join()}` }
        : { ok: false, code: 'permissionDenied', problem: 'not yours' },
    ),
  validateJwt: (audience, token) =>
    token === 'good'
      ? { ok: true, id: 'spiffe://d/a', claims: { aud: audience, deep: { n: [1] } } }
      : { ok: false, problem: 'bad token' },
}
function become(next: WorkloadState): void {
  state = next
  for (const changed of [...listeners]) changed()
}
const ready = (chain: string): WorkloadState => ({
  kind: 'ready',
  svid: { id: 'spiffe://d/a', chain: Buffer.from(chain), key: Buffer.from('key') },
  bundles: {
    trustDomain: 'd',
    x509: new Map([
      ['d', Buffer.from('own root')],
      ['e', Buffer.from('foreign root')],
    ]),
    jwt: new Map([['d', '{"keys":[]}']]),
  },
})

const api = await openWorkloadApi(path, source, {
  clock: realClock,
  log: silentLogger,
  secrets: () => new Map(),
})
const bytes = (value: Buffer) => value
const method = (name: string, responseStream: boolean) => ({
  path: `/SpiffeWorkloadAPI/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
})
const Client = makeGenericClientConstructor(
  {
    x509: method('FetchX509SVID', true),
    jwtBundles: method('FetchJWTBundles', true),
    jwt: method('FetchJWTSVID', false),
    validate: method('ValidateJWTSVID', false),
  },
  'SpiffeWorkloadAPI',
)
const client = new Client(`unix://${path}`, credentials.createInsecure())
after(async () => {
  client.close()
  await api.close()
  rmSync(folder, { recursive: true, force: true })
})

function header(value = 'true'): Metadata {
  const metadata = new Metadata()
  metadata.set('workload.spiffe.io', value)
  return metadata
}

function follow(name: 'x509' | 'jwtBundles', metadata = header()) {
  const open = client[name] as (message: Buffer, metadata: Metadata) => ClientReadableStream<Buffer>
  // grpc-js sends no empty message; an unknown field is as good.
  const stream = open.call(client, Buffer.from([0x98, 0x06, 1]), metadata)
  const seen: { messages: string[]; code: number | undefined } = { messages: [], code: undefined }
  stream.on('data', (message: Buffer) => seen.messages.push(message.toString('latin1')))
  stream.on('error', ({ code }: ServiceError) => {
    seen.code = code
  })
  return { seen, cancel: () => stream.cancel() }
}

/** Strings as fields 1 and 2. */
function texts(...fields: readonly (readonly [number, string])[]): Buffer {
  return Buffer.concat(
    fields.map(([number, text]) =>
      Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), Buffer.from(text)]),
    ),
  )
}

function ask(name: 'jwt' | 'validate', message: Buffer, metadata = header()) {
  const call = client[name] as (
    message: Buffer,
    metadata: Metadata,
    answer: (error: ServiceError | null, message?: Buffer) => void,
  ) => void
  return new Promise<string | number>((resolve) => {
    call.call(client, message, metadata, (error, answered) =>
      resolve(error === null ? (answered ?? Buffer.alloc(0)).toString('latin1') : error.code),
    )
  })
}

const INVALID_ARGUMENT = 3
const PERMISSION_DENIED = 7

test('the socket, and the folder that was made for it, are for their owner only', () => {
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(join(folder, 'private')).mode & 0o777, 0o700)
})

test('who does not say that it means the Workload API is refused', async () => {
  for (const metadata of [new Metadata(), header('false')]) {
    const { seen } = follow('x509', metadata)
    await eventually(() => assert.equal(seen.code, INVALID_ARGUMENT))
    assert.equal(await ask('jwt', texts([1, 'pay']), metadata), INVALID_ARGUMENT)
  }
})

test('who asks early waits, and then hears of every change, once', async () => {
  become({ kind: 'waiting' })
  const { seen, cancel } = follow('x509')
  const bundles = follow('jwtBundles')
  await eventually(() => assert.equal(listeners.size, 3))
  become(ready('first'))
  await eventually(() => assert.equal(seen.messages.length, 1))
  assert.match(seen.messages[0] ?? '', /spiffe:\/\/d\/a.*first.*key.*own root/s)
  assert.match(seen.messages[0] ?? '', /spiffe:\/\/e.*foreign root/s)
  become(ready('first'))
  become(ready('second'))
  await eventually(() => assert.match(seen.messages[1] ?? '', /second/))
  assert.equal(seen.messages.length, 2)
  assert.equal(bundles.seen.messages.length, 1, 'the bundles did not change')
  cancel()
  bundles.cancel()
  await eventually(() => assert.equal(listeners.size, 1), 5_000)
})

test('without an identity the answer is PERMISSION_DENIED, also on a stream that is open', async () => {
  become(ready('first'))
  const { seen } = follow('x509')
  await eventually(() => assert.equal(seen.messages.length, 1))
  become({ kind: 'none', problem: 'it was taken away' })
  await eventually(() => assert.equal(seen.code, PERMISSION_DENIED))
})

test('a JWT-SVID needs an audience, and an identity that is one’s own', async () => {
  assert.match(String(await ask('jwt', texts([1, 'pay'], [1, 'ship']))), /for pay,ship/)
  assert.match(String(await ask('jwt', texts([1, 'pay'], [2, 'spiffe://d/a']))), /for pay/)
  assert.equal(await ask('jwt', texts([2, 'spiffe://d/a'])), INVALID_ARGUMENT)
  assert.equal(await ask('jwt', texts([1, 'pay'], [2, 'spiffe://d/b'])), PERMISSION_DENIED)
  assert.equal(await ask('jwt', Buffer.from([0x0a, 0xff])), INVALID_ARGUMENT)
})

test('a token is judged: who and what, or why not', async () => {
  assert.match(String(await ask('validate', texts([1, 'pay'], [2, 'good']))), /spiffe:\/\/d\/a/)
  assert.equal(await ask('validate', texts([1, 'pay'], [2, 'bad'])), INVALID_ARGUMENT)
  assert.equal(await ask('validate', texts([2, 'good'])), INVALID_ARGUMENT)
  assert.equal(await ask('validate', texts([1, 'pay'])), INVALID_ARGUMENT)
})

/**
 * A service and a client built on `com.alibaba.rsocket`, emulated byte by byte: metadata of
 * SETUP, keys, binary routing, events, the health check and the words of refusals.
 */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { eventually } from '@weft/testkit'
import {
  ALIBABA_ID,
  FRAME_FLAG,
  FRAME_TYPE,
  gsvHash,
  renderBinaryRouting,
  renderComposite,
  renderMetadataPush,
  renderSetup,
} from '@weft/wire'
import {
  body,
  openRawBroker,
  plainSetup,
  type RawBroker,
  type RawPeer,
  routeTo,
} from './raw-fixture.ts'

const { metadata: M, complete: C, next: N } = FRAME_FLAG
const RR = FRAME_TYPE.requestResponse
const USER_SERVICE = 'com.alibaba.user.UserService'

let raw: RawBroker
let service: RawPeer
let client: RawPeer

before(async () => {
  raw = await openRawBroker()
})
after(() => raw.broker.close())
beforeEach(async () => {
  service?.close()
  client?.close()
  await eventually(() => assert.equal(raw.broker.connections, 0))
  service = await join('11111111-1111-1111-1111-111111111111', [{ service: USER_SERVICE }])
  client = await join('22222222-2222-2222-2222-222222222222', [])
})

interface Locator {
  readonly service: string
  readonly group?: string
  readonly version?: string
}

async function join(uuid: string, published: readonly Locator[], metadata = {}): Promise<RawPeer> {
  const application = { uuid, name: 'user-app', sdk: 'Alibaba-RSocket-1.1.6/1.0.0', metadata }
  const peer = await raw.silent()
  const entries = [
    { mime: ALIBABA_ID.application, content: json(application) },
    { mime: ALIBABA_ID.serviceRegistry, content: json({ published, subscribed: [] }) },
  ]
  const payload = { data: Buffer.alloc(0), metadata: renderComposite(entries) }
  peer.send(renderSetup(plainSetup({ dataMime: 'application/x-hessian', payload })))
  await peer.settled()
  return peer
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function push(peer: RawPeer, uuid: string, type: string, data: object, isEntry = false): void {
  const event = json({
    specversion: '1.0',
    id: '1',
    source: `app://${uuid}/?ip=10.0.0.1`,
    type: `com.alibaba.rsocket.events.${type}`,
    datacontenttype: 'application/json',
    data,
  })
  const entry = renderComposite([{ mime: 'application/cloudevents+json', content: event }])
  peer.send(renderMetadataPush(isEntry ? entry : event))
}

function request(peer: RawPeer, id: number, metadata: Uint8Array, data = ''): void {
  peer.frame(id, RR, M, body({ metadata, data }))
}

/** The metadata of a request that the service got. */
function metadataOf(frame: Buffer | undefined): Buffer {
  assert.ok(frame)
  return frame.subarray(9, 9 + frame.readUIntBE(6, 3))
}

async function settle(): Promise<void> {
  await client.settled()
  await service.settled()
  await client.settled()
}

test('a request without a data type gets one; one that has it, and binary routing, stay first', async () => {
  const plain = routeTo(`${USER_SERVICE}.findById`)
  request(client, 1, plain)
  const typed = Buffer.concat([plain, Buffer.from([0xfa, 0, 0, 1, 0x85])])
  request(client, 3, typed)
  const binary = renderComposite([
    {
      mime: ALIBABA_ID.binaryRouting,
      content: renderBinaryRouting({
        serviceId: gsvHash(USER_SERVICE),
        handlerId: gsvHash(`${USER_SERVICE}.findById`),
        sticky: false,
        key: `${USER_SERVICE}.findById`,
      }),
    },
  ])
  request(client, 5, binary, 'data')
  await settle()
  const appended = Buffer.from([0xfa, 0, 0, 1, 0x80 | 0x26])
  assert.deepEqual(metadataOf(service.frames[0]), Buffer.concat([plain, appended]))
  assert.deepEqual(metadataOf(service.frames[1]), typed)
  const third = metadataOf(service.frames[2])
  assert.deepEqual(third, Buffer.concat([binary, appended]))
  assert.equal(third[0], 0xd0, 'their parser looks at the first byte')
  assert.deepEqual(service.take(), [
    '2 requestResponse',
    '4 requestResponse',
    '6 requestResponse data',
  ])
})

test('a service that is not of their kind gets the request as it was', async () => {
  const plain = await raw.peer({ services: ['com.acme.Plain'], instance: 'plain' })
  const metadata = routeTo('com.acme.Plain.get')
  request(client, 1, metadata)
  await client.settled()
  await plain.settled()
  assert.deepEqual(metadataOf(plain.frames[0]), metadata)
  plain.close()
})

test('binary routing without text goes by the hash; an unknown or shared one is refused', async () => {
  const by = (name: string) =>
    renderComposite([
      {
        mime: ALIBABA_ID.binaryRouting,
        content: renderBinaryRouting({
          ...{ serviceId: gsvHash(name), handlerId: gsvHash(`${name}.m`) },
          ...{ sticky: false, key: '' },
        }),
      },
    ])
  request(client, 1, by(USER_SERVICE))
  request(client, 3, by('com.alibaba.Nobody'))
  await settle()
  assert.deepEqual(service.take(), ['2 requestResponse'])
  assert.deepEqual(client.take(), ['3 error 204 RST-600404 the request has no routing metadata'])
})

test('trap 18: hashes are signed, and bytes of the tail are sign-extended', () => {
  const known = [
    [USER_SERVICE, -638683557],
    [`${USER_SERVICE}.findById`, 1567202038],
    [`group!${USER_SERVICE}:1.0.0`, -301012259],
    ['é', -527561221],
    ['abcé', -1562959021],
  ] as const
  for (const [text, hash] of known) assert.equal(gsvHash(text), hash, text)
})

test('refusals are in the words that their client knows; others get ours', async () => {
  client.ask(1, 'com.alibaba.Nobody.call')
  await client.settled()
  assert.deepEqual(client.take(), ['1 error 204 RST-900404 nobody offers com.alibaba.Nobody'])
  const plain = await raw.peer()
  plain.ask(1, 'com.alibaba.Nobody.call')
  await plain.settled()
  assert.deepEqual(plain.take(), ['1 error 202 WEFT-404 nobody offers com.alibaba.Nobody'])
  plain.close()
})

test('the health check of their client is answered with Hessian’s 1', async () => {
  client.ask(1, 'com.alibaba.rsocket.health.RSocketServiceHealth.check')
  await client.settled()
  assert.deepEqual(client.take(), ['1 payload CN \u0091'])
})

test('services come and go by events, raw or as an entry, and nobody speaks for another', async () => {
  const uuid = '11111111-1111-1111-1111-111111111111'
  const orders = { services: [{ group: '', service: 'com.alibaba.Orders', version: '' }] }
  push(client, uuid, 'ServicesExposedEvent', orders)
  push(service, uuid, 'ServicesExposedEvent', orders)
  push(service, uuid, 'ServicesExposedEvent', orders, true)
  await settle()
  assert.equal(raw.broker.registry.find('com.alibaba.Orders').length, 1)
  assert.equal(raw.broker.registry.find('com.alibaba.Orders')[0]?.facts.instance?.id, uuid)
  assert.equal(raw.broker.registry.find(USER_SERVICE).length, 1, 'what it had stays')
  push(service, uuid, 'ServicesHiddenEvent', orders, true)
  await settle()
  assert.equal(raw.broker.registry.find('com.alibaba.Orders').length, 0)
})

test('an application out of service gets nothing new until it serves again', async () => {
  const uuid = '11111111-1111-1111-1111-111111111111'
  push(service, uuid, 'AppStatusEvent', { id: uuid, status: 2 })
  push(service, uuid, 'PortsUpdateEvent', { appId: uuid, rsocketPorts: { 42252: 'tcp' } })
  await settle()
  client.ask(1, `${USER_SERVICE}.findById`)
  await client.settled()
  assert.deepEqual(client.take(), ['1 error 202 WEFT-503 no responder can take the request'])
  push(service, uuid, 'AppStatusEvent', { id: uuid, status: 1 })
  await settle()
  client.ask(3, `${USER_SERVICE}.findById`)
  await settle()
  assert.deepEqual(service.take(), ['2 requestResponse'])
})

test('group, version, endpoint and sticky of the key choose among instances', async () => {
  const locator = { group: 'g', service: 'com.alibaba.Picked', version: '1.0' }
  const peers = await Promise.all(
    ['a', 'b', 'c'].map((name) => join(name.repeat(32), [locator], { zone: name })),
  )
  const answeredBy = async (id: number, key: string, ...tags: string[]): Promise<string> => {
    request(client, id, routeTo(key, ...tags))
    await client.settled()
    for (const peer of peers) await peer.settled()
    const at = peers.findIndex((peer) => peer.heard.length > 0)
    const [, streamId] = /^(\d+)/.exec(peers[at]?.take()[0] ?? '') ?? []
    if (streamId !== undefined) peers[at]?.item(Number(streamId), N | C)
    await peers[at]?.settled()
    return 'abc'[at] ?? 'nobody'
  }
  const key = 'g!com.alibaba.Picked.get:1.0'
  assert.equal(await answeredBy(1, key, 'e=zone:b'), 'b')
  assert.equal(await answeredBy(3, `${key}?e=id:${'c'.repeat(32)}`), 'c')
  assert.equal(await answeredBy(5, 'g!com.alibaba.Picked.get:2.0'), 'nobody')
  const first = await answeredBy(7, `${key}?sticky=1`)
  for (let id = 9; id < 29; id += 2) assert.equal(await answeredBy(id, `${key}?sticky=1`), first)
  peers['abc'.indexOf(first)]?.close()
  await eventually(() => assert.equal(raw.broker.registry.find('com.alibaba.Picked').length, 2))
  const at = 'abc'.indexOf(first)
  peers.splice(at, 1)
  client.take()
  request(client, 31, routeTo(`${key}?sticky=1`))
  await client.settled()
  for (const peer of peers) await peer.settled()
  assert.equal(peers.filter((peer) => peer.take().length === 1).length, 1, 'another takes over')
  for (const peer of peers) peer.close()
})

test('a drain tells them where else to go, by a raw CloudEvent and nothing of ours', async () => {
  const other = await openRawBroker()
  const uri = `tcp://127.0.0.1:${other.port}`
  await raw.broker.drain({ deadlineMs: 1_000, replaceWith: [uri] })
  await eventually(() => assert.ok(client.closed))
  const [frame] = client.frames
  assert.equal(client.frames.length, 1)
  const event = JSON.parse(String(frame?.subarray(6)))
  assert.equal(event.type, 'com.alibaba.rsocket.upstream.UpstreamClusterChangedEvent')
  assert.deepEqual(event.data.uris, [uri])
  other.broker.close()
  raw = await openRawBroker()
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HandedSockets } from '../upgrade/handed-sockets.ts'
import { SocketBroker } from './socket-broker.ts'

interface FakeHandle {
  readonly of: string
  isOpen: boolean
  close(): void
}

function handle(of: string): FakeHandle {
  return {
    of,
    isOpen: true,
    close() {
      this.isOpen = false
    },
  }
}

function broker(handed?: HandedSockets) {
  const said: string[] = []
  const name = (one?: object) => (one === undefined ? '' : ` ${(one as FakeHandle).of}`)
  const it = new SocketBroker({
    give: (worker, key, order, one) => {
      const port = order.kind === 'join' ? `:${order.port}` : ''
      said.push(`${worker} ${key} ${order.kind}${port}${name(one)}`)
    },
    standIn: (worker, key, slot, one) => {
      said.push(`${worker} ${key} stands in for ${slot}${name(one)}`)
    },
    standDown: (worker, key, slot) => {
      said.push(`${worker} ${key} stands down for ${slot}`)
    },
    ...(handed === undefined ? {} : { handed }),
  })
  return { it, said: () => said.splice(0) }
}

const own = { port: 80, isShared: false }

/** Two workers that listen, each on its own socket. */
function twoWorkers() {
  const made = broker()
  const handles = [handle('first'), handle('second')] as const
  made.it.take(0, 'a')
  made.it.opened(0, 'a', own, handles[0])
  made.it.take(1, 'a')
  made.it.opened(1, 'a', own, handles[1])
  made.said()
  return { ...made, handles }
}

test('the first worker finds out whether the address is free, the others join it', () => {
  const { it, said } = broker()
  it.take(0, 'a')
  it.take(1, 'a')
  it.take(2, 'a')
  assert.deepEqual(said(), ['0 a first'])
  it.opened(0, 'a', own, handle('x'))
  assert.deepEqual(said(), ['1 a join:80', '2 a join:80'])
})

test('a worker that cannot bind, or dies while it does, lets the next one try', () => {
  for (const ends of ['failed', 'gone'] as const) {
    const { it, said } = broker()
    it.take(0, 'a')
    it.take(1, 'a')
    if (ends === 'failed') it.failed(0, 'a')
    else it.gone(0)
    assert.deepEqual(said(), ['0 a first', '1 a first'])
  }
})

test('where ports cannot be shared the others get the one socket', () => {
  const { it, said } = broker()
  it.take(0, 'a')
  it.take(1, 'a')
  it.opened(0, 'a', { port: 80, isShared: true }, handle('only'))
  assert.deepEqual(said(), ['0 a first', '1 a inherit only'])
})

test('who cannot join gets a socket that is open', () => {
  const { it, said } = broker()
  it.take(0, 'a')
  it.opened(0, 'a', own, handle('x'))
  it.take(1, 'a')
  it.failed(1, 'a')
  it.take(1, 'a')
  assert.deepEqual(said(), ['0 a first', '1 a join:80', '1 a inherit x'])
})

test('while a worker is dead another accepts for it; its successor gets its socket back', () => {
  const { it, said, handles } = twoWorkers()
  it.gone(0)
  assert.deepEqual(said(), ['1 a stands in for 0 first'])
  assert.ok(handles[0].isOpen)
  it.take(0, 'a')
  assert.deepEqual(said(), ['1 a stands down for 0', '0 a inherit first'])
  it.opened(0, 'a', own, undefined)
  assert.deepEqual(said(), [])
})

test('a stand-in that dies has one, too', () => {
  const { it, said } = twoWorkers()
  it.take(2, 'a')
  it.opened(2, 'a', own, handle('third'))
  said()
  it.gone(0)
  const [first = ''] = said()
  const standIn = Number(first[0])
  it.gone(standIn)
  const last = standIn === 1 ? 2 : 1
  assert.deepEqual(said().sort(), [
    `${last} a stands in for 0 first`,
    `${last} a stands in for ${standIn} ${standIn === 1 ? 'second' : 'third'}`,
  ])
})

test('nobody is left: the sockets stay open, and whoever comes first stands in for the rest', () => {
  const { it, said, handles } = twoWorkers()
  it.gone(0)
  it.gone(1)
  said()
  assert.ok(handles.every(({ isOpen }) => isOpen))
  it.take(1, 'a')
  it.opened(1, 'a', own, undefined)
  assert.deepEqual(said(), ['1 a inherit second', '1 a stands in for 0 first'])
})

test('a socket that nobody wants any more is closed', () => {
  const { it, handles } = twoWorkers()
  it.released(0, 'a')
  assert.deepEqual(
    handles.map(({ isOpen }) => isOpen),
    [false, true],
  )
  it.released(1, 'a')
  assert.deepEqual(
    handles.map(({ isOpen }) => isOpen),
    [false, false],
  )
  assert.deepEqual(it.handOver(), [])
})

test('what was wanted by workers that are all dead and is wanted by no new one is closed', () => {
  const { it, handles } = twoWorkers()
  it.gone(0)
  it.gone(1)
  it.prune()
  assert.ok(handles.every(({ isOpen }) => !isOpen))
})

test('a successor with fewer workers accepts on the sockets of all, one with more binds some', () => {
  const { it: before } = twoWorkers()
  const fewer = broker(new HandedSockets(before.handOver()))
  fewer.it.take(0, 'a')
  fewer.it.opened(0, 'a', own, undefined)
  assert.deepEqual(fewer.said(), ['0 a inherit first', '0 a stands in for 1 second'])
  const more = broker(new HandedSockets(before.handOver()))
  more.it.take(2, 'a')
  more.it.take(1, 'a')
  more.it.opened(1, 'a', own, undefined)
  assert.deepEqual(more.said(), ['1 a inherit second', '2 a join:80', '1 a stands in for 0 first'])
})

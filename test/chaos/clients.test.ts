/** F5, F6, F21: clients that break off, clients that are slow, clients that are too many. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { eventually } from '../e2e/weft.ts'
import { renderTally, startClient } from './checking-client.ts'
import { openFiles } from './process-memory.ts'
import { openStage, report } from './stage.ts'

const HEAD = 'POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 100\r\n\r\nhalf a body'

test('F5 connections that are reset at any byte leave nothing behind', async () => {
  await using stage = await openStage()
  await using client = startClient(stage.port)
  await client.answers(300)
  const base = openFiles(stage.proxy.process)
  const storm = 2_000
  for (let i = 0; i < storm; i += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, k) => resetAfter(stage.port, i + k)))
  }
  await client.answers(300)
  // Pooled connections may come and go by a few; two thousand that stay would show.
  const left = await eventually(
    () => openFiles(stage.proxy.process) - base,
    (more) => more <= 40,
  )
  const tally = await client.stop()
  report('F5', `${storm} resets, ${left} descriptors more: ${renderTally(tally)}`)
  assert.deepEqual([tally.lost, tally.refused, tally.wrong], [0, 0, 0])
})

test('F6 who is slow with a head is shown out, and nobody else notices', async () => {
  await using stage = await openStage()
  await using client = startClient(stage.port)
  await client.answers(300)
  const slow = await Promise.all(Array.from({ length: 500 }, () => openSocket(stage.port)))
  const timers = slow.map((socket) => {
    socket.write('GET / HTTP/1.1\r\nHost: app\r\nx-slow: ')
    return setInterval(() => socket.write('a'), 200)
  })
  const startedMs = performance.now()
  await Promise.all(slow.map((socket) => (socket.destroyed ? undefined : once(socket, 'close'))))
  const tookMs = performance.now() - startedMs
  for (const timer of timers) clearInterval(timer)
  const tally = await client.stop()
  report(
    'F6',
    `500 slow heads, all closed after ${tookMs.toFixed(0)} ms (limit 2000): ${renderTally(tally)}`,
  )
  assert.deepEqual([tally.lost, tally.refused, tally.wrong], [0, 0, 0])
})

test('F21 running out of descriptors is survived, and passes', async () => {
  await using stage = await openStage({ maxFiles: 256 })
  await using client = startClient(stage.port, { connections: 8 })
  await client.answers(300)
  const crowd = await Promise.all(Array.from({ length: 1_000 }, () => openSocket(stage.port)))
  await client.answers(300)
  const underPressure = { ...client.tally }
  for (const socket of crowd) socket.destroy()
  const startedMs = performance.now()
  await using later = startClient(stage.port, { connections: 8 })
  await later.answers(1)
  const recoveredMs = performance.now() - startedMs
  await later.answers(100)
  const tally = await client.stop()
  report(
    'F21',
    `1000 clients at 256 descriptors; a new one served after ${recoveredMs.toFixed(0)} ms: ${renderTally(tally)}`,
  )
  assert.deepEqual([underPressure.lost, underPressure.refused, tally.wrong], [0, 0, 0])
})

function openSocket(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.resume()
    socket.once('connect', () => resolve(socket))
    socket.once('close', () => resolve(socket))
  })
}

async function resetAfter(port: number, bytes: number): Promise<void> {
  const socket = await openSocket(port)
  if (socket.destroyed) return
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
    socket.write(HEAD.slice(0, 1 + (bytes % HEAD.length)), () => socket.resetAndDestroy())
  })
}

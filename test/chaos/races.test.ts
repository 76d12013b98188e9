/** Upstreams that close idle connections just as they are used again, and changes under open WebSockets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Outcome, sendOnce } from './checking-client.ts'
import { adminText, CLUSTER, cluster, LISTENER, listener, openStage, report } from './stage.ts'
import { openWebSocket } from './web-socket.ts'

const REQUESTS = 10_000
const AT_ONCE = 500
/** Around the second after which the upstream closes: 4.9 to 5.1 s, five times as fast. */
const PAUSES_MS = { from: 980, to: 1_020 }

test('keep-alive race: an upstream that closes idle connections as they are used costs nothing', async () => {
  const app = fileURLToPath(new URL('closing-app.ts', import.meta.url))
  await using stage = await openStage({ app })
  const outcomes = new Map<string, number>()
  let sent = 0
  const loop = async (client: number): Promise<void> => {
    for (let i = 0; sent < REQUESTS; i++) {
      sent++
      const body = i % 2 === 0 ? undefined : Buffer.from('a body')
      const id = `${client}-${i}`
      const outcome = await sendOnce(stage.port, { id, body })
      const what = describe(outcome, body !== undefined)
      outcomes.set(what, (outcomes.get(what) ?? 0) + 1)
      const pauseMs =
        PAUSES_MS.from + ((client * 7 + i) % 41) * ((PAUSES_MS.to - PAUSES_MS.from) / 40)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, client) => loop(client)))
  const posts = stage.posts()
  const twice = posts.length - new Set(posts).size
  report(
    'keep-alive race',
    `${sent} requests, ${JSON.stringify(Object.fromEntries(outcomes))}, ${posts.length} POSTs taken, ${twice} twice`,
  )
  assert.deepEqual(Object.keys(Object.fromEntries(outcomes)), ['ok'])
  assert.equal(twice, 0)
})

function describe(outcome: Outcome, isPost: boolean): string {
  if (outcome.kind === 'ok') return 'ok'
  const why = 'why' in outcome ? ` ${outcome.why}` : ''
  return `${isPost ? 'POST' : 'GET'} ${outcome.kind}${why}`
}

test('a thousand WebSockets stay open through a hundred changes', async () => {
  const [webSockets, changes] = [1_000, 100]
  await using stage = await openStage({ concurrency: 2 })
  const sockets = await Promise.all(
    Array.from({ length: webSockets }, () => openWebSocket(stage.port)),
  )
  const ports = stage.apps.map(({ port }) => port)
  for (let i = 0; i < changes; i++) {
    // Routes, timeouts, limits: a tree that differs every time.
    stage.writeResources('listeners.json', LISTENER, [
      JSON.parse(JSON.stringify(listener('stage', stage.port)).replace('"10s"', `"${10 + i}s"`)),
    ])
    stage.writeResources('clusters.json', CLUSTER, [
      cluster(i % 2 === 0 ? ports : ports.toReversed(), { connect_timeout: `${1 + (i % 5)}s` }),
    ])
    await inForce(stage.admin, `${10 + i}s`)
    if (i % 10 === 9) await Promise.all(sockets.map((socket) => socket.echo()))
  }
  const open = sockets.filter(({ isOpen }) => isOpen).length
  for (const socket of sockets) socket.end()
  report('changes', `${changes} changes, ${open} of ${webSockets} WebSockets open after them`)
  assert.equal(open, webSockets)
})

async function inForce(admin: number, timeout: string): Promise<void> {
  const untilMs = performance.now() + 10_000
  while (!(await adminText(admin, '/config_dump?resource=dynamic_listeners')).includes(timeout)) {
    assert.ok(performance.now() < untilMs, `the change to ${timeout} is not in force`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** `weft agent --broker` as a stranger runs it: real processes, one broker, no open port. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { realClock, silentLogger } from '@weft/base'
import { Broker } from '@weft/broker'
import { createHandleTransport } from '@weft/net'
import { eventually } from '@weft/testkit'
import { listeningSockets } from './listening-sockets.ts'
import { runWeft, startWeft } from './weft.ts'

const APPLICATION = `
import { createServer } from 'node:http'
const server = createServer((request, response) => {
  const answer = () => response.end(process.env.WEFT_WORKLOAD + ' ' + request.url)
  request.url === '/slow' ? setTimeout(answer, 300) : answer()
})
server.listen(process.env.PORT, () => console.log('listening'))
process.on('SIGTERM', () => server.close(() => process.exit(7)))
`

let broker: Broker
let address = ''
let home = ''

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'weft-agent-'))
  await writeFile(join(home, 'app.mjs'), APPLICATION)
  const { random } = Math
  const deps = { transport: createHandleTransport(), clock: realClock, log: silentLogger, random }
  broker = new Broker({ id: 'b' }, deps)
  const at = { host: '127.0.0.1', port: 0 }
  const { port } = await broker.listen({ kind: 'tcp', address: at })
  address = `127.0.0.1:${port}`
})

after(async () => {
  broker.close()
  await rm(home, { recursive: true })
})

function serving(...more: string[]) {
  return startWeft(
    [
      ...['agent', '--broker', address, '--service', 'reviews:9080', '--version', 'v1', ...more],
      ...['--', process.execPath, 'app.mjs'],
    ],
    { cwd: home },
  )
}

/** What a command of another agent sees. */
function fetching(path: string) {
  const script = `const r = await fetch('http://reviews:9080${path}'); console.log(r.status, await r.text())`
  return runWeft([
    ...['agent', '--broker', address, '--name', 'caller', '--'],
    ...[process.execPath, '--input-type=module', '-e', script],
  ])
}

test('an application on a Unix socket: called by name, and nothing listens but a proxy on loopback', async () => {
  await using agent = serving('--app-socket', 'app.sock')
  await agent.saw('listening')
  await eventually(() => assert.equal(broker.registry.find('reviews').length, 1))
  const pid = agent.process.pid ?? 0
  await eventually(async () => {
    const { output, exitCode } = await fetching('/0')
    assert.equal(output, '200 reviews-v1 /0\n')
    assert.equal(exitCode, 0)
  })
  const { tcp } = listeningSockets(pid)
  assert.equal(tcp.length, 1)
  assert.match(tcp[0] ?? '', /^127\.0\.0\.1:/)
})

test('SIGTERM: what is under way is answered, then the application is told, and its code is the answer', async () => {
  await using agent = serving('--app-socket', 'term.sock', '--no-outbound')
  await agent.saw('listening')
  const pid = agent.process.pid ?? 0
  assert.deepEqual(listeningSockets(pid).tcp, [], 'nothing at all listens')
  await eventually(async () => assert.equal((await fetching('/1')).output, '200 reviews-v1 /1\n'))
  const slow = fetching('/slow')
  await eventually(() => assert.ok(broker.openStreams > 0))
  agent.process.kill('SIGTERM')
  assert.equal((await slow).output, '200 reviews-v1 /slow\n')
  assert.equal((await agent.finished).exitCode, 7)
  await eventually(() => assert.equal(broker.registry.find('reviews').length, 0))
})

test('without a command it says with --json how things are, and ends at a signal', async () => {
  await using agent = startWeft(
    [
      ...['agent', '--broker', address, '--service', 'cart', '--app-port', '1'],
      ...['--no-outbound', '--json'],
    ],
    { cwd: home },
  )
  await agent.saw('"application":false')
  const facts = JSON.parse(agent.output().trim().split('\n').at(-1) ?? '')
  assert.equal(facts.ready, false)
  await eventually(() => assert.match(agent.output(), /"up":true/))
  agent.process.kill('SIGTERM')
  assert.equal((await agent.finished).exitCode, 0)
})

test('wrong command lines say what to do', async () => {
  const cases: readonly [string[], RegExp][] = [
    [['--broker', 'x'], /--broker must look like/],
    [['--broker', 'http://x:1'], /tcps:\/\/broker:7879/],
    [['--broker', address, '--service', 'a'], /--service needs the application: --app-port/],
    [['--broker', address, '--app-port', '1'], /need --service NAME/],
    [['--broker', address, '--outbound', '0.0.0.0:1'], /must be on loopback/],
    [['--broker', address, '--broker-ca', 'x'], /needs TLS: write --broker tcps:\/\//],
    [['--broker', address, '--links', '0'], /--links must be a number from 1/],
    [['--broker', address, '--socket', 'x'], /--socket and --broker do not go together/],
    [['--service', 'a'], /--service needs --broker/],
    [['--broker', address, '--token-file', '/nonexistent'], /cannot show who this is: ENOENT/],
  ]
  for (const [words, message] of cases) {
    const { exitCode, errors } = await runWeft(['agent', ...words])
    assert.equal(exitCode, 2, words.join(' '))
    assert.match(errors, message)
  }
})

test('a command that calls at once finds a link, though the broker takes its time', async () => {
  const slow = new Broker(
    { id: 'slow' },
    {
      ...{ transport: createHandleTransport(), clock: realClock, log: silentLogger },
      random: Math.random,
      async authenticate() {
        await new Promise<void>((resolve) => realClock.after(1_000, resolve))
        return { principal: undefined, claims: undefined }
      },
    },
  )
  const { port } = await slow.listen({ kind: 'tcp', address: { host: '127.0.0.1', port: 0 } })
  const script = `const r = await fetch('http://nobody/'); console.log(r.status, await r.text())`
  const { output } = await runWeft([
    ...['agent', '--broker', `127.0.0.1:${port}`, '--'],
    ...[process.execPath, '--input-type=module', '-e', script],
  ])
  slow.close()
  assert.match(output, /^\d{3} /)
  assert.doesNotMatch(output, /no connection to a broker/)
})

/** Filters of `weft broker`, as a user has them: files beside a running broker, clients of npm. */
import assert from 'node:assert/strict'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FilterRow } from '@weft/broker'
import { type Program, type ProgramKind, STREAM_ITEMS } from '../interop/rsocket-program.ts'
import { npmPrograms } from '../interop/rsocket-programs.ts'
import { eventually, type Running, runWeft, startWeft, temporaryFolder } from './weft.ts'

const EXAMPLES = fileURLToPath(new URL('../../examples/broker-filters/filters', import.meta.url))

interface Broker extends AsyncDisposable {
  readonly folder: string
  readonly admin: string
  readonly port: number
  dial(kind: ProgramKind, services?: readonly string[]): Promise<Program>
  /** Puts a file into the folder in one step. */
  put(name: string, text: string): Promise<void>
  filters(): Promise<readonly FilterRow[]>
}

async function openBroker(files: Readonly<Record<string, string>>): Promise<Broker> {
  const stack = new AsyncDisposableStack()
  const folder = join(stack.use(await temporaryFolder()).path, 'filters')
  await mkdir(folder)
  const put = async (name: string, text: string) => {
    await writeFile(join(folder, `.${name}`), text)
    await rename(join(folder, `.${name}`), join(folder, name))
  }
  for (const [name, text] of Object.entries(files)) await put(name, text)
  const broker = stack.use(
    startWeft([
      ...['broker', '--standalone', '--allow-anonymous', '--json', '--admin', '127.0.0.1:0'],
      ...['--listen', '127.0.0.1:0', '--listen-ws', 'off'],
      ...['--filter', folder, '--filter', EXAMPLES],
    ]),
  )
  const { port, admin } = await addressesOf(broker)
  return {
    ...{ folder, admin, port, put },
    async dial(kind, services = []) {
      const program = await kind.dial({
        ...{ carrier: 'tcp', port, caPem: '', services },
      })
      stack.defer(() => program.close())
      return program
    },
    async filters() {
      const { output } = await runWeft(['get', 'filters', '--broker', admin, '--json'])
      return JSON.parse(output)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function addressesOf(broker: Running): Promise<{ port: number; admin: string }> {
  await broker.saw('"ready":true')
  const lines = broker.output().split('\n')
  const up = JSON.parse(lines.find((line) => line.includes('"ready":true')) ?? '{}')
  return { port: Number(up.tcp.split(':').at(-1)), admin: up.admin.replace('http://', '') }
}

/** Marks what passes, by direction. */
function marking(request: string, response: string): string {
  return `
    const marks: Record<'request' | 'response', string> = { request: '${request}', response: '${response}' }
    export default {
      match: { services: ['echo.*'] },
      needs: ['request-items', 'response-items'],
      create: () => ({
        onItem: ({ data }: { data: Uint8Array }, direction: 'request' | 'response') => ({
          replace: { data: Buffer.from(marks[direction] + Buffer.from(data).toString()) },
        }),
      }),
    }`
}

async function available(program: Program, key: string) {
  await eventually(
    () => program.response(key, ''),
    ([answer = '#']) => !answer.startsWith('#'),
  )
}

describe('filters of weft broker', () => {
  for (const asking of npmPrograms) {
    for (const answering of npmPrograms) {
      test(`${asking.name} asks ${answering.name}: the four interactions, both directions`, async () => {
        await using broker = await openBroker({ 'mark.ts': marking('>', '<') })
        const told: string[] = []
        const responder = await answering.dial({
          ...{ carrier: 'tcp', caPem: '', services: ['echo.S'] },
          port: broker.port,
          onFireAndForget: (data) => void told.push(data),
        })
        const program = await broker.dial(asking)
        await available(program, 'echo.S.m')
        assert.deepEqual(await program.response('echo.S.m', 'x'), ['<>x'])
        const items = await program.stream('echo.S.m', 'y', 2)
        assert.deepEqual(
          items,
          Array.from({ length: STREAM_ITEMS }, () => '<>y'),
        )
        assert.deepEqual(await program.channel('echo.S.m', 'z'), ['<>z0', '<>z1', '<>z2'])
        program.fireAndForget('echo.S.m', 'f')
        await eventually(
          async () => told,
          (heard) => heard.join() === '>f',
        )
        const large = 'x'.repeat(300_000)
        assert.deepEqual(await program.response('echo.S.m', large), [`<>${large}`])
        responder.close()
      })
    }
  }

  test('the examples mask, refuse and log; weft get filters tells what they did', async () => {
    await using broker = await openBroker({})
    const [kind] = npmPrograms
    assert.ok(kind !== undefined)
    await broker.dial(kind, ['com.acme.Pay', 'com.acme.tenants.Books'])
    const program = await broker.dial(kind)
    await available(program, 'com.acme.Pay.pay')
    assert.deepEqual(await program.response('com.acme.Pay.pay', 'card 4111111111111111!'), [
      'card ************1111!',
    ])
    assert.deepEqual(await program.response('com.acme.tenants.Books.all', 'x'), [
      '#403 the tag tenant=… is missing',
    ])
    const rows = await broker.filters()
    assert.deepEqual(
      rows.map(({ name, phase, state }) => `${name} ${phase} ${state}`),
      ['require-tenant authz active', 'mask-cards route active', 'call-log observe active'],
    )
    assert.equal(rows[0]?.refusals, 1)
    assert.equal(rows[1]?.failures, 0)
    assert.ok((rows[1]?.changes ?? 0) >= 1)
    const table = (await runWeft(['get', 'filters', '--broker', broker.admin])).output
    assert.match(table, /mask-cards +active +route 0 +\* +request-items, response-items +close/)
    const stats = await (await fetch(`http://${broker.admin}/stats/prometheus`)).text()
    assert.match(stats, /^weft_rsocket_filter_refusals_total\{filter="require-tenant"\} 1$/m)
  })

  test('files change under load: no request is lost, a broken one leaves the last good at work', async () => {
    await using broker = await openBroker({ 'mark.ts': marking('', '0') })
    const [kind] = npmPrograms
    assert.ok(kind !== undefined)
    await broker.dial(kind, ['echo.S'])
    const program = await broker.dial(kind)
    await available(program, 'echo.S.m')
    let isDone = false
    const heard = new Set<string>()
    const load = Array.from({ length: 4 }, async () => {
      while (!isDone) {
        const [answer = ''] = await program.response('echo.S.m', 'x')
        assert.match(answer, /^\dx$/)
        heard.add(answer)
      }
    })
    const hears = (text: string) =>
      eventually(
        async () => heard,
        (all) => all.has(text),
      )
    await hears('0x')
    await broker.put('mark.ts', marking('', '1'))
    await hears('1x')
    await broker.put('mark.ts', 'export default {')
    const broken = await eventually(
      () => broker.filters(),
      (rows) => rows.some(({ problem }) => problem !== undefined),
    )
    assert.equal(broken.find(({ name }) => name === 'mark')?.state, 'active')
    await broker.put('mark.ts', marking('', '2'))
    await hears('2x')
    isDone = true
    await Promise.all(load)
    await rm(join(broker.folder, 'mark.ts'))
    await eventually(
      () => program.response('echo.S.m', 'x'),
      ([answer]) => answer === 'x',
    )
  })

  test('a broker whose filter does not load does not start, and says why', async () => {
    await using folder = await temporaryFolder()
    const file = join(folder.path, 'bad.ts')
    await writeFile(file, 'export default {}')
    const args = ['broker', '--standalone', '--allow-anonymous', '--filter', file]
    const ended = await runWeft([...args, '--listen', '127.0.0.1:0', '--listen-ws', 'off'])
    assert.equal(ended.exitCode, 1)
    assert.match(ended.errors, /bad\.ts does not load: it has neither create nor onConnect/)
    const types = await runWeft(['broker', '--filter', 'types'])
    assert.match(types.output, /export interface BrokerFilter</)
  })
})

import assert from 'node:assert/strict'
import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { realClock } from '@weft/base'
import { FakeClock, seededRandom } from '@weft/testkit'
import { createFileSink, type LogSink, LogWriter } from './log-writer.ts'

const options = { flushAfterMs: 200, batchBytes: 10, maxBytes: 20 }

function writeLine(writer: LogWriter, line: string): void {
  const bytes = Buffer.from(line)
  writer.write(bytes, bytes.length)
}

/** A sink whose writes end when the test says so. */
function heldSink() {
  const batches: string[] = []
  const waiting: { settle: () => void; fail: () => void }[] = []
  const sink: LogSink = {
    write(bytes) {
      batches.push(Buffer.from(bytes).toString())
      return new Promise((resolve, reject) => {
        waiting.push({ settle: resolve, fail: () => reject(new Error('disk full')) })
      })
    },
    reopen: async () => {},
    close: async () => {},
  }
  return { sink, batches, waiting }
}

describe('log writer', () => {
  test('lines wait for the timer and go out as one batch', () => {
    const clock = new FakeClock()
    const { sink, batches } = heldSink()
    const writer = new LogWriter(sink, clock, options)
    writeLine(writer, 'a\n')
    writeLine(writer, 'b\n')
    assert.deepEqual(batches, [])
    clock.advance(200)
    assert.deepEqual(batches, ['a\nb\n'])
  })

  test('a full batch does not wait', () => {
    const { sink, batches } = heldSink()
    const writer = new LogWriter(sink, new FakeClock(), options)
    writeLine(writer, '123456789\n')
    assert.deepEqual(batches, ['123456789\n'])
  })

  test('a slow file bounds memory: the newest lines are dropped and counted', async () => {
    const clock = new FakeClock()
    const { sink, batches, waiting } = heldSink()
    const writer = new LogWriter(sink, clock, options)
    for (let i = 0; i < 5; i++) writeLine(writer, '12345678\n')
    assert.equal(writer.dropped, 3)
    assert.equal(batches.length, 1)
    waiting[0]?.settle()
    await writer.flush()
    assert.deepEqual(batches, ['12345678\n12345678\n'])
    writeLine(writer, 'again\n')
    clock.advance(200)
    assert.equal(batches[1], 'again\n')
  })

  test('after a failed write the writer counts the loss and goes on a second later', async () => {
    const clock = new FakeClock()
    const { sink, batches, waiting } = heldSink()
    const writer = new LogWriter(sink, clock, options)
    writeLine(writer, '123456789\n')
    writeLine(writer, 'next\n')
    waiting[0]?.fail()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual([writer.failures, writer.dropped], [1, 1])
    clock.advance(999)
    assert.equal(batches.length, 1)
    clock.advance(1)
    assert.deepEqual(batches[1], 'next\n')
  })

  test('lines written while a batch is under way never mix with it (random sizes, seed 5)', async () => {
    const random = seededRandom(5)
    const { sink, batches, waiting } = heldSink()
    const clock = new FakeClock()
    const writer = new LogWriter(sink, clock, { flushAfterMs: 10, batchBytes: 200, maxBytes: 1e6 })
    let expected = ''
    for (let i = 0; i < 2_000; i++) {
      const line = `${i} ${'x'.repeat(Math.floor(random() * 90))}\n`
      expected += line
      writeLine(writer, line)
      if (random() < 0.1) {
        waiting.shift()?.settle()
        await new Promise((resolve) => setImmediate(resolve))
        clock.advance(10)
      }
    }
    const flushed = writer.flush()
    for (let i = 0; i < 3; i++) {
      waiting.shift()?.settle()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await flushed
    assert.equal(batches.join(''), expected)
    assert.equal(writer.dropped, 0)
  })

  test('close writes what waits and takes nothing more', async () => {
    const written: string[] = []
    const sink: LogSink = {
      write: async (bytes) => {
        written.push(Buffer.from(bytes).toString())
      },
      reopen: async () => {},
      close: async () => {
        written.push('closed')
      },
    }
    const clock = new FakeClock()
    const writer = new LogWriter(sink, clock, options)
    writeLine(writer, 'a\n')
    await writer.close()
    writeLine(writer, 'b\n')
    assert.deepEqual(written, ['a\n', 'closed'])
    assert.equal(writer.dropped, 1)
    assert.equal(clock.pending, 0)
  })

  test('a renamed file is left alone after reopen', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'weft-log-'))
    try {
      const path = join(folder, 'access.log')
      const writer = new LogWriter(createFileSink(path, realClock), realClock)
      writeLine(writer, 'one\n')
      await writer.flush()
      await rename(path, join(folder, 'access.log.1'))
      await writer.reopen()
      writeLine(writer, 'two\n')
      await writer.close()
      assert.equal(await readFile(join(folder, 'access.log.1'), 'utf8'), 'one\n')
      assert.equal(await readFile(path, 'utf8'), 'two\n')
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('a path that cannot be opened is named', async () => {
    const sink = createFileSink('/nowhere/at/all.log', realClock)
    await assert.rejects(sink.write(Buffer.from('x')), /\/nowhere\/at\/all\.log/)
  })
})

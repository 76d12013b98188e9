import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fakeTerminal } from '../terminal/fake-terminal.ts'
import { readSources } from './read-sources.ts'

describe('readSources()', () => {
  let cwd = ''
  before(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'weft-sources-'))
    await mkdir(join(cwd, 'mesh', 'deep'), { recursive: true })
    for (const file of ['mesh/b.yaml', 'mesh/a.yml', 'mesh/deep/c.json', 'mesh/notes.txt']) {
      await writeFile(join(cwd, file), file)
    }
  })
  after(() => rm(cwd, { recursive: true }))

  const read = async (...paths: string[]) => {
    const terminal = fakeTerminal({ cwd, stdin: 'kind: Service' })
    return (await readSources(paths, terminal)).map(({ file, text }) => [file, text])
  }

  test('reads a folder and everything below, by name, configuration only', async () => {
    assert.deepEqual(await read('mesh'), [
      ['mesh/a.yml', 'mesh/a.yml'],
      ['mesh/b.yaml', 'mesh/b.yaml'],
      ['mesh/deep/c.json', 'mesh/deep/c.json'],
    ])
  })

  test('reads an absolute folder under absolute names', async () => {
    const names = (await read(join(cwd, 'mesh'))).map(([file]) => file)
    assert.deepEqual(names[0], join(cwd, 'mesh', 'a.yml'))
  })

  test('expands what no shell expanded', async () => {
    assert.deepEqual(
      (await read('mesh/*.y*ml')).map(([file]) => file),
      ['mesh/a.yml', 'mesh/b.yaml'],
    )
  })

  test('refuses what is there but cannot be read, and says why', async () => {
    const path = join(cwd, 'socket')
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(path, resolve))
    try {
      await assert.rejects(read('socket'), {
        name: 'UsageError',
        code: 'unreadable',
        message: /Cannot read socket: /,
      })
    } finally {
      server.close()
    }
  })

  test('reads any file that is named, and each once', async () => {
    assert.deepEqual(
      (await read('mesh/notes.txt', 'mesh/notes.txt')).map(([file]) => file),
      ['mesh/notes.txt'],
    )
  })

  test('reads standard input under a name of its own', async () => {
    assert.deepEqual(await read('-'), [['<stdin>', 'kind: Service']])
  })

  for (const path of ['missing.yaml', 'missing/*.yaml']) {
    test(`says that ${path} is missing`, async () => {
      await assert.rejects(read(path), { name: 'UsageError', message: /Cannot read missing/ })
    })
  }
})

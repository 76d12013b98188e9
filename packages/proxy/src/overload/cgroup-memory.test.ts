import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cgroupMemory } from './cgroup-memory.ts'

const MB = 1_048_576
/** A tenth of a small limit is kept free. */
const USABLE = 0.9

function reader(files: Record<string, string | number>) {
  return (path: string) => (path in files ? String(files[path]) : undefined)
}

describe('the memory of a control group', () => {
  test('version 2: usage without what nobody used lately, of the limit', () => {
    const root = '/sys/fs/cgroup/pod/app'
    const files: Record<string, string | number> = {
      '/proc/self/cgroup': '0::/pod/app\n',
      [`${root}/memory.max`]: `${256 * MB}\n`,
      [`${root}/memory.current`]: 200 * MB,
      [`${root}/memory.stat`]: `anon 1\nactive_file 9\ninactive_file ${72 * MB}\n`,
    }
    const memory = cgroupMemory(reader(files))
    assert.equal(memory?.usableBytes, 256 * MB * USABLE)
    assert.equal(memory?.pressure(), 0.5 / USABLE)
    files[`${root}/memory.current`] = 328 * MB
    assert.equal(memory?.pressure(), 1 / USABLE)
  })

  test('version 1: the group that is fullest, also one above', () => {
    const root = '/sys/fs/cgroup/memory'
    const files = {
      '/proc/self/cgroup': '5:cpu,cpuacct:/a\n4:memory:/a/b\n',
      [`${root}/memory.limit_in_bytes`]: '9223372036854771712\n',
      [`${root}/memory.usage_in_bytes`]: 900 * MB,
      [`${root}/a/memory.limit_in_bytes`]: 100 * MB,
      [`${root}/a/memory.usage_in_bytes`]: 80 * MB,
      [`${root}/a/b/memory.limit_in_bytes`]: 400 * MB,
      [`${root}/a/b/memory.usage_in_bytes`]: 40 * MB,
    }
    assert.equal(cgroupMemory(reader(files))?.pressure(), (80 * MB) / (100 * MB * USABLE))
  })

  test('a container sees its own group as the root', () => {
    const files = {
      '/proc/self/cgroup': '0::/kubepods/pod1/abc\n',
      '/sys/fs/cgroup/memory.max': 100 * MB,
      '/sys/fs/cgroup/memory.current': 25 * MB,
    }
    assert.equal(cgroupMemory(reader(files))?.pressure(), 0.25 / USABLE)
  })

  test('no limit, no monitor; a smaller limit of ours counts', () => {
    const files: Record<string, string | number> = {
      '/proc/self/cgroup': '0::/x\n',
      '/sys/fs/cgroup/x/memory.max': 'max\n',
      '/sys/fs/cgroup/x/memory.current': 25 * MB,
    }
    assert.equal(cgroupMemory(reader(files)), undefined)
    assert.equal(cgroupMemory(reader({})), undefined)
    files['/sys/fs/cgroup/x/memory.max'] = 100 * MB
    assert.equal(cgroupMemory(reader(files), 50 * MB)?.pressure(), 0.5 / USABLE)
  })

  test('files that are gone or hold nonsense are no pressure', () => {
    const files: Record<string, string | number> = {
      '/proc/self/cgroup': '0::/x\n',
      '/sys/fs/cgroup/x/memory.max': 100 * MB,
      '/sys/fs/cgroup/x/memory.current': 'many',
    }
    const memory = cgroupMemory(reader(files))
    assert.equal(memory?.pressure(), undefined)
    delete files['/sys/fs/cgroup/x/memory.max']
    assert.equal(memory?.pressure(), undefined)
  })
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { UsageError } from '../command.ts'
import { coresOf, cpuQuota, parseConcurrency } from './concurrency.ts'

const files = (texts: Record<string, string>) => (path: string) => texts[path]

test('a number is as it is, 0 and auto are the cores, anything else is an error', () => {
  assert.equal(
    parseConcurrency('3', () => 8),
    3,
  )
  for (const text of ['0', 'auto']) {
    assert.equal(
      parseConcurrency(text, () => 8),
      8,
    )
  }
  for (const text of ['', '-1', '1.5', 'two', '1000']) {
    assert.throws(() => parseConcurrency(text), UsageError)
  }
})

test('the quota of a cgroup of version 2 counts, and so does one above it', () => {
  const container = files({
    '/proc/self/cgroup': '0::/\n',
    '/sys/fs/cgroup/cpu.max': '150000 100000\n',
  })
  assert.equal(cpuQuota(container), 1.5)
  const nested = files({
    '/proc/self/cgroup': '0::/a/b\n',
    '/sys/fs/cgroup/a/b/cpu.max': 'max 100000\n',
    '/sys/fs/cgroup/a/cpu.max': '200000 100000\n',
  })
  assert.equal(cpuQuota(nested), 2)
})

test('the quota of a cgroup of version 1 counts', () => {
  const limited = files({
    '/proc/self/cgroup': '4:cpu,cpuacct:/docker/x\n1:name=systemd:/docker/x\n',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '50000\n',
    '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
  })
  assert.equal(cpuQuota(limited), 0.5)
})

test('without a quota there is none', () => {
  assert.equal(cpuQuota(files({})), undefined)
  assert.equal(
    cpuQuota(
      files({
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
        '/sys/fs/cgroup/cpu.max': 'max 100000\n',
      }),
    ),
    undefined,
  )
})

test('a quota takes cores away, never adds any, and leaves one', () => {
  assert.equal(coresOf(8, undefined), 8)
  assert.equal(coresOf(8, 2.5), 3)
  assert.equal(coresOf(8, 0.2), 1)
  assert.equal(coresOf(2, 16), 2)
})

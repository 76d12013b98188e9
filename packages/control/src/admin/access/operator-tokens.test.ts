import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { LogScopes, silentLogger } from '@weft/base'
import { OperatorTokens } from './operator-tokens.ts'
import { Sessions } from './sessions.ts'

function fileOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-tokens-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return join(folder, 'operators', 'tokens.json')
}

test('a token is hashed at rest, in a file of 0600, and known after a restart', async (t) => {
  const path = fileOf(t)
  const deps = { path, wallMs: () => 1_000, log: silentLogger }
  const tokens = await OperatorTokens.open(deps)
  const grant = { role: 'viewer', namespaces: ['shop'] } as const
  const { token, id } = await tokens.create({ user: 'ci', groups: ['bots'], grant }, 'alice')
  assert.match(token, /^wot_[\w-]{43}$/)
  assert.equal(readFileSync(path, 'utf8').includes(token.slice(4)), false)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  const again = await OperatorTokens.open(deps)
  const expected = {
    id,
    user: 'ci',
    groups: ['bots'],
    grant,
    createdAtMs: 1_000,
    createdBy: 'alice',
  }
  assert.deepEqual(again.find(token), expected)
  assert.deepEqual(again.list(), [expected])
  assert.equal(again.find(`${token}x`), undefined)
  assert.equal(await again.revoke(id), true)
  assert.equal(await again.revoke(id), false)
  assert.equal((await OperatorTokens.open(deps)).find(token), undefined)
})

test('a token ends when its time is over', async () => {
  let nowMs = 0
  const tokens = await OperatorTokens.open({
    path: undefined,
    wallMs: () => nowMs,
    log: silentLogger,
  })
  const { token } = await tokens.create({ user: 'ci', groups: [], ttlMs: 10_000 }, 'alice')
  nowMs = 9_999
  assert.equal(tokens.find(token)?.user, 'ci')
  nowMs = 10_000
  assert.equal(tokens.find(token), undefined)
  assert.deepEqual(tokens.list(), [])
})

test('nobody can be called as only the control plane calls people', async () => {
  const tokens = await OperatorTokens.open({ path: undefined, wallMs: () => 0, log: silentLogger })
  for (const user of ['system:owner', 'SYSTEM:x', '', 'a b', 'a\nb', 'ä', 'x'.repeat(254)]) {
    await assert.rejects(tokens.create({ user, groups: [] }, 'a'), RangeError, user)
    await assert.rejects(tokens.create({ user: 'a', groups: [user] }, 'a'), RangeError, user)
  }
  for (const ttlMs of [0, -1, Number.NaN, 999, 1e15]) {
    await assert.rejects(tokens.create({ user: 'a', groups: [], ttlMs }, 'a'), RangeError)
  }
})

test('a file that was tampered with lets nobody in, loudly', async (t) => {
  const path = fileOf(t)
  const lines: string[] = []
  const log = new LogScopes(
    (line) => lines.push(line),
    () => 0,
  ).logger('test')
  const deps = { path, wallMs: () => 0, log }
  const { token } = await (await OperatorTokens.open(deps)).create({ user: 'a', groups: [] }, 'a')
  const good = readFileSync(path, 'utf8')
  const forms = ['{', '{}', 'null', good.replace('"groups": []', '"groups": "x"')]
  forms.push(good.replace('"user": "a"', '"user": "a", "grant": {"role": "admin"}'))
  forms.push(
    good.replace('"user": "a"', '"user": "a", "grant": {"role": "root", "namespaces": "all"}'),
  )
  for (const text of forms) {
    writeFileSync(path, text)
    assert.equal((await OperatorTokens.open(deps)).find(token), undefined, text)
    assert.match(lines.pop() ?? '', /cannot read operator tokens/)
  }
})

test('a link is good once and for ten minutes, a session for an hour without use', () => {
  let nowMs = 0
  const sessions = new Sessions(() => nowMs)
  const alice = { user: 'alice', groups: [], proof: 'token' } as const
  const late = sessions.link(alice)
  nowMs = late.ttlMs
  assert.equal(sessions.redeem(late.code), undefined)
  const { code } = sessions.link(alice)
  const cookie = sessions.redeem(code) ?? ''
  assert.equal(sessions.redeem(code), undefined)
  assert.equal(sessions.find(code), undefined)
  for (let i = 0; i < 11; i++) {
    nowMs += 3_599_999
    assert.deepEqual(sessions.find(cookie), alice)
  }
  // Twelve hours are the most, however busy somebody is.
  nowMs += 3_599_999
  assert.equal(sessions.find(cookie) === undefined || nowMs < 12 * 3_600_000 + late.ttlMs, true)
  nowMs += 3_600_000
  assert.equal(sessions.find(cookie), undefined)
})

test('what is kept is bounded: the oldest link gives way', () => {
  const sessions = new Sessions(() => 0)
  const alice = { user: 'alice', groups: [], proof: 'token' } as const
  const codes = Array.from({ length: 101 }, () => sessions.link(alice).code)
  assert.equal(sessions.redeem(codes[0] ?? ''), undefined)
  assert.notEqual(sessions.redeem(codes[1] ?? ''), undefined)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storageAnswer } from './storage-full.ts'

for (const [code, reason] of [
  ['ENOSPC', /the disk is full/],
  ['EDQUOT', /quota/],
  ['EROFS', /read-only/],
] as const) {
  test(`F23 ${code} is answered with 507 and says what still works`, () => {
    const answer = storageAnswer(Object.assign(new Error('x'), { code, path: '/mesh/a.yaml' }))
    assert.equal(answer?.status, 507)
    const text = JSON.stringify(answer)
    assert.match(text, reason)
    assert.match(text, /\/mesh\/a\.yaml/)
    assert.match(text, /Reads and proxies are served/)
  })
}

test('other errors are not about room', () => {
  assert.equal(storageAnswer(Object.assign(new Error('x'), { code: 'EACCES' })), undefined)
  assert.equal(storageAnswer(undefined), undefined)
  assert.equal(storageAnswer(Object.assign(new Error('x'), { code: 'toString' })), undefined)
})

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ALL_FAILURES, failureDetails, failureFlag, failureStatus } from './failures.ts'

const page = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8')

/** Rows of the table by the failure's name. */
const rows = new Map(
  [...page.matchAll(/^\| `(\w+)` \|(.*)\|$/gm)].map((match) => [
    match[1] ?? '',
    (match[2] ?? '').split('|').map((cell) => cell.trim()),
  ]),
)

test('docs/errors.md has every failure and no other', () => {
  assert.deepEqual([...rows.keys()].toSorted(), ALL_FAILURES.toSorted())
})

for (const failure of ALL_FAILURES) {
  test(`docs/errors.md says of ${failure} what the code does, what it means and what to do`, () => {
    const [status, flag, details, meaning = '', advice = ''] = rows.get(failure) ?? []
    assert.equal(status, String(failureStatus(failure)))
    assert.equal(flag, failureFlag(failure))
    assert.equal(details, `\`${failureDetails(failure)}\``)
    assert.match(meaning, /\w.*\.$/)
    assert.match(advice, /\w.*[.?]$/)
  })
}
